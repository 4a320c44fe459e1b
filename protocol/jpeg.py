"""The outline of a JPEG file: its segments, and where its picture ends. Nothing is decoded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

START, END, SCAN, PROGRESSIVE = 0xD8, 0xD9, 0xDA, 0xC2

# Inside a scan 0xFF is followed by 0x00, or by one of the marks from which decoding can start again.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Segment:
    """What begins with a marker: `data[start:end]`, without the pixels that follow a SCAN; its `marker` is the byte
    after 0xFF."""

    marker: int
    start: int
    end: int


def segments(data: bytes) -> Iterator[Segment]:
    """The whole segments of a JPEG in turn, up to and with END; fewer where the file is cut off."""
    at = 0
    while (found := _MARKER.search(data, at)) is not None:
        marker, at = data[found.start() + 1], found.end()
        if marker not in (START, END):
            at += max(2, int.from_bytes(data[at : at + 2], "big"))
            if at > len(data):
                return
        yield Segment(marker, found.start(), at)
        if marker == END:
            return


def still(data: bytes) -> bytes:
    """A JPEG without what cameras append to it: the film of a motion photo, a second picture, a map of depths.

    `data` itself where it is no JPEG, or one that doesn't end.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        return data
    return next((data[: segment.end] for segment in segments(data) if segment.marker == END), data)
