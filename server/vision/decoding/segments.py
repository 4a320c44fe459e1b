"""Memory shared between the server and its children: a picture's bytes go over in one segment, its pixels come back in
one.

A few segments are kept for reuse: writing to existing pages costs a third of writing to new ones. Children write every
byte of what they return, so nothing of an earlier picture is ever visible.
"""

from __future__ import annotations

import mmap
import os
import threading
from dataclasses import dataclass

KEPT_BYTES = 48 * 1024 * 1024
"""Total size of unused segments kept: the pixels of a few 12-megapixel photos at half scale, and their files."""

_ROUND_TO = 1024 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """`size` bytes behind a file descriptor."""

    fd: int
    size: int

    def mapped(self, length: int) -> mmap.mmap:
        """Maps the first `length` bytes; the mapping stays valid after the segment is closed."""
        return mapped(self.fd, length)


def mapped(fd: int, length: int) -> mmap.mmap:
    """Maps the first `length` bytes of a descriptor, populating all pages at once: page by page costs four times as
    much."""
    return mmap.mmap(fd, length, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)


class Segments:
    """A pool of shared segments. Thread-safe."""

    def __init__(self) -> None:
        # Guards _kept and _closed. Reentrant: the garbage collector may return a segment in the middle of `lease`.
        self._changing = threading.RLock()
        self._kept: list[Segment] = []
        self._closed = False

    def lease(self, length: int) -> Segment:
        """A segment of at least `length` bytes with arbitrary content. Raises OSError."""
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
        """Make the segment available for another picture: no child writes to it any more."""
        with self._changing:
            if not self._closed and sum(kept.size for kept in self._kept) + segment.size <= KEPT_BYTES:
                self._kept.append(segment)
                return
        self.drop(segment)

    def drop(self, segment: Segment) -> None:
        """Never reuse the segment: a child that had to be killed may still have it."""
        os.close(segment.fd)

    def close(self) -> None:
        """Frees unused segments; those returned later are freed then."""
        with self._changing:
            self._closed = True
            kept, self._kept = self._kept, []
        for segment in kept:
            self.drop(segment)
