"""Checks that a payload is one msgpack map within the limits, by its headers alone, before any object is built.

msgpack's own limits apply per container: arrays of arrays of empty maps stay below them and still turn 32 MiB into
gigabytes of Python objects. This pass first counts every element, without recursion, and skips strings and binaries
without reading them, so a picture costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from facewire.protocol.errors import BadMessage


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds for a message. `depth`: nested containers; `elements`: values and keys in total; `container`:
    elements of an array, or entries of a map; `text` and `key`: bytes of UTF-8."""

    depth: int
    elements: int
    container: int
    text: int
    key: int


# A request is an op and a few fields (an enrolment has up to a hundred pictures); names and queries are below 4 KiB.
REQUEST_LIMITS = Limits(depth=8, elements=16_384, container=4_096, text=4_096, key=64)
# An answer may be large (100 faces with 100 candidates each: 10^5 elements), and clients choose their server.
ANSWER_LIMITS = Limits(depth=16, elements=2_000_000, container=500_000, text=65_536, key=1_024)


class _Kind(Enum):
    SCALAR = auto()
    TEXT = auto()
    BINARY = auto()
    ARRAY = auto()
    MAP = auto()
    REFUSED = auto()  # ext types and timestamps, used by no message, and the byte that msgpack leaves unused


def _describe(first: int) -> tuple[_Kind, int, int]:
    """Describes a value's first byte: (kind, size, number of bytes that hold the size instead)."""
    ranges = (
        (0x7F, (_Kind.SCALAR, 0, 0)),
        (0x8F, (_Kind.MAP, first & 0x0F, 0)),
        (0x9F, (_Kind.ARRAY, first & 0x0F, 0)),
        (0xBF, (_Kind.TEXT, first & 0x1F, 0)),
    )
    for last, meaning in ranges:
        if first <= last:
            return meaning
    if first >= 0xE0:
        return _Kind.SCALAR, 0, 0
    return _SINGLES.get(first, (_Kind.REFUSED, 0, 0))


_SINGLES = {
    0xC0: (_Kind.SCALAR, 0, 0),
    0xC2: (_Kind.SCALAR, 0, 0),
    0xC3: (_Kind.SCALAR, 0, 0),
    **{0xC4 + i: (_Kind.BINARY, 0, 1 << i) for i in range(3)},
    **{0xCA + i: (_Kind.SCALAR, 4 << i, 0) for i in range(2)},  # floats
    **{0xCC + i: (_Kind.SCALAR, 1 << i, 0) for i in range(4)},  # unsigned
    **{0xD0 + i: (_Kind.SCALAR, 1 << i, 0) for i in range(4)},  # signed
    **{0xD9 + i: (_Kind.TEXT, 0, 1 << i) for i in range(3)},
    **{0xDC + i: (_Kind.ARRAY, 0, 2 << i) for i in range(2)},
    **{0xDE + i: (_Kind.MAP, 0, 2 << i) for i in range(2)},
}
_MEANING = tuple(_describe(first) for first in range(256))


def check_limits(payload: bytes, limits: Limits) -> None:
    """Checks that `payload` is exactly one msgpack map within `limits`. Raises BadMessage with the position if not."""
    if not payload or _MEANING[payload[0]][0] is not _Kind.MAP:
        raise BadMessage("a message is one msgpack map")
    walk = _Walk(payload, limits)
    walk.run()
    if walk.at != len(payload):
        raise BadMessage(f"{len(payload) - walk.at} bytes follow the message")


class _Walk:
    """One pass over a payload. `open`: for each open container, how many values are left and whether it is a map."""

    def __init__(self, payload: bytes, limits: Limits) -> None:
        self.payload = payload
        self.limits = limits
        self.at = 0
        self.elements = 0
        self.open: list[tuple[int, bool]] = [(1, False)]

    def run(self) -> None:
        while self.open:
            missing, in_map = self.open.pop()
            if missing == 0:
                continue
            self.open.append((missing - 1, in_map))
            self._step(is_key=in_map and missing % 2 == 0)

    def _step(self, *, is_key: bool) -> None:
        start = self.at
        kind, size = self._header()
        if is_key and (kind is not _Kind.TEXT or size > self.limits.key):
            raise BadMessage(f"the key at byte {start} is not a string of at most {self.limits.key} bytes")
        if kind is _Kind.ARRAY or kind is _Kind.MAP:
            self._enter(kind, size, start)
            return
        if kind is _Kind.TEXT and size > self.limits.text:
            raise BadMessage(f"the string at byte {start} has {size} bytes, over the limit of {self.limits.text}")
        self._skip(size)

    def _header(self) -> tuple[_Kind, int]:
        kind, size, width = _MEANING[self.payload[self._skip(1)]]
        if kind is _Kind.REFUSED:
            raise BadMessage(f"byte {self.at - 1} begins a value that no message uses")
        if width:
            start = self._skip(width)
            size = int.from_bytes(self.payload[start : self.at], "big")
        return kind, size

    def _enter(self, kind: _Kind, size: int, start: int) -> None:
        if size > self.limits.container:
            raise BadMessage(f"the container at byte {start} claims {size} elements, over {self.limits.container}")
        values = 2 * size if kind is _Kind.MAP else size
        self.elements += values
        if self.elements > self.limits.elements:
            raise BadMessage(f"the message has more than {self.limits.elements} elements")
        self.open.append((values, kind is _Kind.MAP))
        if len(self.open) > self.limits.depth + 1:  # the first entry stands for the message itself
            raise BadMessage(f"the message is nested deeper than {self.limits.depth} levels")

    def _skip(self, count: int) -> int:
        """Skips `count` bytes and returns where they began."""
        start = self.at
        if start + count > len(self.payload):
            raise BadMessage("the message ends in the middle of a value")
        self.at = start + count
        return start
