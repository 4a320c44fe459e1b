"""Pieces of memory that the server shares with its children: a picture's bytes go over in one, its pixels come back.

A few are kept for the next picture: writing to pages that are there costs a third of what new ones do. What a child
hands over it has written from the first byte to the last, so nothing of an earlier picture is ever seen.
"""

from __future__ import annotations

import mmap
import os
import threading
from dataclasses import dataclass

KEPT_BYTES = 48 * 1024 * 1024
"""Of all that wait for another use: the pixels of some 12-megapixel photos at half scale, and their files."""

_ROUND_TO = 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """`size` bytes behind a file descriptor."""

    fd: int
    size: int

    def mapped(self, length: int) -> mmap.mmap:
        """The first `length` bytes, which live as long as the mapping does, whatever becomes of the segment."""
        return mapped(self.fd, length)


def mapped(fd: int, length: int) -> mmap.mmap:
    """The first `length` bytes behind a descriptor, all pages at once: one by one they cost four times as much."""
    return mmap.mmap(fd, length, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)


class Segments:
    """Thread-safe."""

    def __init__(self) -> None:
        # Guards _kept and _closed. Reentrant: the garbage collector may give a segment back in the midst of `lease`.
        self._changing = threading.RLock()
        self._kept: list[Segment] = []
        self._closed = False

    def lease(self, length: int) -> Segment:
        """At least `length` bytes, with anything in them. Raises OSError."""
        with self._changing:
            fitting = [segment for segment in self._kept if length <= segment.size <= 8 * length + _ROUND_TO]
            if fitting:
                best = min(fitting, key=lambda segment: segment.size)
                self._kept.remove(best)
                return best
        size = -(-max(1, length) // _ROUND_TO) * _ROUND_TO
        fd = os.memfd_create("facewire-picture")
        try:
            os.ftruncate(fd, size)
        except OSError:
            os.close(fd)
            raise
        return Segment(fd, size)

    def give_back(self, segment: Segment) -> None:
        """It may be used for another picture: no child writes to it any more."""
        with self._changing:
            if not self._closed and sum(kept.size for kept in self._kept) + segment.size <= KEPT_BYTES:
                self._kept.append(segment)
                return
        self.drop(segment)

    def drop(self, segment: Segment) -> None:
        """It is never used again: a child that had to be killed may still have it."""
        os.close(segment.fd)

    def close(self) -> None:
        """Frees what is kept; what is given back later is freed then."""
        with self._changing:
            self._closed = True
            kept, self._kept = self._kept, []
        for segment in kept:
            self.drop(segment)
