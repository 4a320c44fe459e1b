"""Typed wrappers of msgpack, as any client would use it."""

from __future__ import annotations

from typing import Any, cast

import msgpack  # type: ignore[import-untyped]  # ships no types


def pack(value: object) -> bytes:
    """A payload of just this."""
    return cast(bytes, msgpack.packb(value))


def unpacked(payload: bytes) -> dict[str, Any]:
    """The map in a payload."""
    return cast(dict[str, Any], msgpack.unpackb(payload))
