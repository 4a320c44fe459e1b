"""Parses a JPEG file's segments and finds where its picture ends, without decoding it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

START, END, SCAN, PROGRESSIVE = 0xD8, 0xD9, 0xDA, 0xC2

# Within a scan, 0xFF is followed by 0x00 or is part of a restart marker.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Segment:
    """`data[start:end]`, which begins with a marker; excludes the pixels after a SCAN. `marker`: the byte after
    0xFF."""

    marker: int
    start: int
    end: int


def segments(data: bytes) -> Iterator[Segment]:
    """The complete segments of a JPEG in order, up to and including END; fewer if the file is truncated."""
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
    """A JPEG without data appended by cameras: the video of a motion photo, a second picture, a depth map.

    Returns `data` itself if it is not a JPEG or has no end.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        return data
    return next((data[: segment.end] for segment in segments(data) if segment.marker == END), data)
