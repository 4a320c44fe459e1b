"""What a message is, declared by a dataclass: a request names its answer (`class Rename(Asks["Changed"])` is all the
protocol needs to know of an operation), its fields their types and ranges (`Annotated[int, Range(1, 100)]`).

Ranges are checked whenever a request is created: by the client before sending, by the server on reading. Types are
checked when plain values become messages. Supported hints: int, float, bool, str, bytes, object, Literal, `X | None`,
tuples, Mapping[str, X] and dataclasses. New operations need no code here."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import (
    Annotated,
    Any,
    ClassVar,
    ForwardRef,
    Generic,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from facewire.protocol.errors import BadMessage, InvalidRequest
from facewire.protocol.rights import Needs

A = TypeVar("A")


class Asks(Generic[A]):
    """A request answered with an `A`: a frozen dataclass whose `op` is its name on the wire, whose `needs` are the
    rights that it takes, and which is `repeatable` if asking twice does no more than asking once: a client whose answer
    was lost may then ask again by itself.

    `A` is a string if its class is defined further down in the module.
    """

    __slots__ = ()
    op: ClassVar[str]
    needs: ClassVar[Needs]
    repeatable: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        REQUEST_OF[cls.op] = cls  # dataclass(slots=True) creates the class again; the second one stays registered

    def __post_init__(self) -> None:
        for key, limits in _limits_of(type(self)):  # type: ignore[arg-type]  # mypy takes a class's __hash__ for its instances'
            value = getattr(self, key)
            for limit in limits if value is not None else ():
                limit.hold(key, value)
        self.check()

    def check(self) -> None:
        """Checks constraints across fields. Raises InvalidRequest."""


REQUEST_OF: dict[str, type[Asks[Any]]] = {}
"""All operations by their name on the wire, registered when their modules are imported; `codec` imports all of them."""


def answer_of(request: type[Asks[A]]) -> type[A]:
    """The class of a request's answer."""
    base = next(base for base in request.__orig_bases__ if get_origin(base) is Asks)  # type: ignore[attr-defined]
    (answer,) = get_args(base)
    found: type[A] = answer
    if isinstance(answer, ForwardRef):
        found = getattr(sys.modules[request.__module__], answer.__forward_arg__)
    return found


@dataclass(frozen=True, slots=True)
class Range:
    """A number, or each of several numbers, is between `low` and `high`, inclusive."""

    low: float
    high: float

    def hold(self, key: str, value: Any) -> None:
        """Raises InvalidRequest."""
        for number in value if isinstance(value, tuple) else (value,):
            if not self.low <= number <= self.high:
                raise InvalidRequest(f"'{key}' must be from {self.low} to {self.high}, not {number}")


@dataclass(frozen=True, slots=True)
class Length:
    """The length is at least `least` and, if given, at most `most`."""

    least: int
    most: int | None = None

    def hold(self, key: str, value: Any) -> None:
        """Raises InvalidRequest."""
        if len(value) < self.least or (self.most is not None and len(value) > self.most):
            most = "" if self.most is None else f" and at most {self.most}"
            raise InvalidRequest(f"'{key}' must name at least {self.least}{most}, not {len(value)}")


FLOATS = "little-endian float32 numbers"
"""`Annotated[bytes, FLOATS]`: binary that holds these; JSON shows them as an array."""


@cache
def _limits_of(request: type[Any]) -> tuple[tuple[str, tuple[Range | Length, ...]], ...]:
    hints = get_type_hints(request, include_extras=True)
    found = ((key, tuple(_limits_in(hint))) for key, hint in hints.items())
    return tuple((key, limits) for key, limits in found if limits)


def _limits_in(hint: Any) -> list[Range | Length]:
    if get_origin(hint) is Annotated:
        return [limit for limit in hint.__metadata__ if isinstance(limit, (Range, Length))]
    return []


# ---- messages <-> plain values

_Reader = Callable[[object, str], Any]  # (plain value, its path for messages) -> typed value

_NAMES: Mapping[type, str] = {
    int: "an integer",
    float: "a number",
    bool: "a boolean",
    str: "a string",
    bytes: "binary",
    list: "an array",
    dict: "a map",
    type(None): "nil",
}


def to_plain(value: Any) -> Any:
    """Converts to maps, lists and scalars for msgpack or JSON; a dataclass becomes a map of its fields."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    return value


def without_defaults(message: Any) -> dict[str, Any]:
    """`to_plain` without fields that equal their default, which the reader fills in.

    So a request omits fields that only newer servers know, unless it uses them.
    """
    plain: dict[str, Any] = to_plain(message)
    for field in fields(message):
        if field.default is not MISSING and getattr(message, field.name) == field.default:
            del plain[field.name]
    return plain


def from_plain(shape: Any, value: object, *, strict: bool) -> Any:
    """Converts a plain value to `shape`; `strict` refuses unknown keys, otherwise they are ignored.

    Raises BadMessage for a value of the wrong type; InvalidRequest for an unknown or missing key, a value not in a
    Literal, or anything that the dataclass itself refuses.
    """
    return _reader(shape, strict)(value, "")


@cache
def _reader(hint: Any, strict: bool) -> _Reader:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is object:
        return lambda value, path: value
    if hint is float:
        return _read_float
    if hint in (int, bool, str, bytes):
        return _scalar_reader(hint)
    if origin is Literal:
        return _literal_reader(arguments)
    if origin in (Union, types.UnionType):
        return _optional_reader(arguments, strict)
    if origin is tuple:
        return _tuple_reader(arguments, strict)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping_reader(arguments[1], strict)
    if is_dataclass(hint):
        return _object_reader(hint, strict)
    raise TypeError(f"no message may have a field of type {hint}")


def _scalar_reader(expected: type) -> _Reader:
    def read(value: object, path: str) -> Any:
        if type(value) is not expected:  # not isinstance, as True is not accepted as an integer
            raise _wrong_type(path, expected, value)
        return value

    return read


def _read_float(value: object, path: str) -> float:
    if type(value) is float:
        return value
    if type(value) is int:  # encoders in several languages write 1.0 as 1
        return float(value)
    raise _wrong_type(path, float, value)


def _literal_reader(allowed: tuple[Any, ...]) -> _Reader:
    expected = type(allowed[0])

    def read(value: object, path: str) -> Any:
        if type(value) is not expected:
            raise _wrong_type(path, expected, value)
        if value not in allowed:
            raise InvalidRequest(f"'{path}' must be one of {', '.join(map(str, allowed))}")
        return value

    return read


def _optional_reader(arguments: tuple[Any, ...], strict: bool) -> _Reader:
    present = [argument for argument in arguments if argument is not types.NoneType]
    if len(present) != 1:
        raise TypeError(f"no message may choose between {present}")
    inner = _reader(present[0], strict)
    return lambda value, path: None if value is None else inner(value, path)


def _tuple_reader(arguments: tuple[Any, ...], strict: bool) -> _Reader:
    endless = arguments[-1] is Ellipsis
    readers = [_reader(argument, strict) for argument in arguments if argument is not Ellipsis]

    def read(value: object, path: str) -> Any:
        if type(value) is not list:
            raise _wrong_type(path, list, value)
        if endless:
            return tuple(readers[0](item, f"{path}[{i}]") for i, item in enumerate(value))
        if len(value) != len(readers):
            raise BadMessage(f"'{path}' must have {len(readers)} elements, not {len(value)}")
        return tuple(reader(item, f"{path}[{i}]") for i, (reader, item) in enumerate(zip(readers, value, strict=True)))

    return read


def _mapping_reader(of: Any, strict: bool) -> _Reader:
    inner = _reader(of, strict)

    def read(value: object, path: str) -> Any:
        if type(value) is not dict:
            raise _wrong_type(path, dict, value)
        return {key: inner(item, f"{path}.{key}") for key, item in value.items()}

    return read


def _object_reader(shape: Any, strict: bool) -> _Reader:
    hints = get_type_hints(shape)
    readers = {field.name: _reader(hints[field.name], strict) for field in fields(shape)}
    required = [f.name for f in fields(shape) if f.default is MISSING and f.default_factory is MISSING]

    def read(value: object, path: str) -> Any:
        if type(value) is not dict:
            raise _wrong_type(path, dict, value)
        prefix = f"{path}." if path else ""
        for key in value if strict else ():
            if key not in readers:
                raise InvalidRequest(f"unknown key '{prefix}{key}'; known here: {', '.join(readers) or 'none'}")
        for key in required:
            if key not in value:
                raise InvalidRequest(f"missing key '{prefix}{key}'")
        return shape(**{key: read(value[key], prefix + key) for key, read in readers.items() if key in value})

    return read


def _wrong_type(path: str, expected: type, value: object) -> BadMessage:
    got = _NAMES.get(type(value), type(value).__name__)
    where = f"'{path}'" if path else "this"
    return BadMessage(f"{where} must be {_NAMES[expected]}, not {got}")
