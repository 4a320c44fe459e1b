"""Requests typed by their answers: `class Rename(Asks["Changed"])` is all the protocol needs to know of an operation.

Ranges are declared on a request's fields (`Annotated[int, Range(1, 100)]`) and checked whenever one is created: by the
client before sending, by the server on reading.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, ForwardRef, Generic, TypeVar, get_args, get_origin, get_type_hints

from facewire.protocol.errors import InvalidRequest

A = TypeVar("A")


class Asks(Generic[A]):
    """A request answered with an `A`: a frozen dataclass whose `op` is its name on the wire.

    `A` is a string if its class is defined further down in the module.
    """

    __slots__ = ()
    op: ClassVar[str]

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


@cache
def _limits_of(request: type[Any]) -> tuple[tuple[str, tuple[Range | Length, ...]], ...]:
    hints = get_type_hints(request, include_extras=True)
    found = ((key, tuple(_limits_in(hint))) for key, hint in hints.items())
    return tuple((key, limits) for key, limits in found if limits)


def _limits_in(hint: Any) -> list[Range | Length]:
    if get_origin(hint) is Annotated:
        return [limit for limit in hint.__metadata__ if isinstance(limit, (Range, Length))]
    return []
