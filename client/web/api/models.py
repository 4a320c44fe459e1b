"""The protocol's dataclasses as pydantic models, from which FastAPI makes the OpenAPI document.

Binary is base64, embeddings are arrays of numbers; everything else is as on the wire.
"""

from __future__ import annotations

import base64
import struct
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model

from facewire.client.web.api.table import Route
from facewire.protocol.schema import FLOATS, Length, Range, answer_of

BASE64 = Annotated[str, WithJsonSchema({"type": "string", "contentEncoding": "base64"})]
"""A file's bytes."""


def request_model(route: Route) -> type[BaseModel]:
    """The keys of a request as JSON; unknown ones are refused."""
    return _model(route.shape, tuple(route.keys), strict=True)


def answer_model(route: Route) -> type[BaseModel]:
    """The answer as JSON."""
    shape: Any = answer_of(route.shape)
    return _model(shape, None, strict=False)


def query_model(route: Route) -> type[BaseModel] | None:
    """The keys that the address may carry, None if there are none.

    For a GET these are all of them. For a body of bytes alone, all the others: none is required, as another body may
    hold them.
    """
    if route.method == "GET":
        return request_model(route) if route.keys else None
    if route.raw is None:
        return None
    hints = {key: hint for key, hint in route.keys.items() if "bytes" not in str(hint)}
    given: dict[str, Any] = {key: (hint_of(hint) | None, None) for key, hint in hints.items()}
    return create_model(f"{route.shape.__name__}InAddress", __config__=ConfigDict(extra="forbid"), **given)


def to_json(value: Any) -> Any:
    """An answer as JSON values."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if is_dataclass(value) and not isinstance(value, type):
        shape: Any = type(value)
        vectors = _vectors(shape)
        return {
            each.name: _numbers(getattr(value, each.name))
            if each.name in vectors
            else to_json(getattr(value, each.name))
            for each in fields(value)
        }
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    return value


@cache
def _vectors(shape: Any) -> frozenset[str]:
    hints = get_type_hints(shape, include_extras=True)
    return frozenset(key for key, hint in hints.items() if FLOATS in getattr(hint, "__metadata__", ()))


def _numbers(data: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(data) // 4}f", data))


@cache
def _model(shape: Any, keys: tuple[str, ...] | None, *, strict: bool) -> type[BaseModel]:
    hints = get_type_hints(shape, include_extras=True)
    given: dict[str, Any] = {}
    for each in fields(shape):
        if keys is None or each.name in keys:
            # An answer always has every key
            required = not strict or (each.default is MISSING and each.default_factory is MISSING)
            given[each.name] = (
                hint_of(hints[each.name], strict=strict),
                ... if required else each.default,
            )
    config = ConfigDict(extra="forbid" if strict else "ignore")
    return create_model(shape.__name__, __config__=config, __doc__=shape.__doc__, **given)


def hint_of(hint: Any, *, strict: bool = True) -> Any:
    """The type of a model's field for that of a message."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _limited(arguments[0], hint.__metadata__, strict)
    if hint is bytes:
        return BASE64
    if origin in (Union, types.UnionType):
        return Union[tuple(hint_of(one, strict=strict) for one in arguments)]  # noqa: UP007 - of a computed tuple
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return list[hint_of(arguments[0], strict=strict)]  # type: ignore[misc]
        return tuple[tuple(hint_of(one, strict=strict) for one in arguments)]  # type: ignore[misc]
    if origin is not None and origin is not Literal and issubclass(origin, Mapping):
        return dict[str, hint_of(arguments[1], strict=strict)]  # type: ignore[misc]
    if is_dataclass(hint):
        shape: Any = hint
        return _model(shape, None, strict=strict)
    return hint


def _limited(hint: Any, metadata: tuple[Any, ...], strict: bool) -> Any:
    if FLOATS in metadata:
        return list[float]
    ranges = [limit for limit in metadata if isinstance(limit, Range)]
    lengths = [limit for limit in metadata if isinstance(limit, Length)]
    found = hint_of(hint, strict=strict)
    for limit in ranges:  # of a number, or of each of several
        within = Field(ge=limit.low, le=limit.high)
        is_list = get_origin(hint) is tuple
        found = list[Annotated[get_args(hint)[0], within]] if is_list else Annotated[found, within]  # type: ignore[misc]
    for length in lengths:
        found = Annotated[found, Field(min_length=length.least, max_length=length.most)]
    return found
