"""Memory for pictures: segments shared between the server and its children, and the total that all pictures may take.

A picture's bytes go over in one segment, its pixels come back in one. A few segments are kept for reuse: writing to
existing pages costs a third of writing to new ones. Children write every byte of what they return, so nothing of an
earlier picture is ever visible."""

from __future__ import annotations

import mmap
import os
import threading
from collections import deque
from dataclasses import dataclass

from facewire.server.errors import Busy

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


_SMALL_SHARE = 16  # of the budget, 64 MiB: a picture of 4 megapixels, whatever its format


class Grant:
    """A share of the budget, owned by the thread that took it; release it with `shrink(0)`."""

    def __init__(self, budget: Budget, amount: int) -> None:
        self._budget = budget
        self.amount = amount
        self.owner = threading.get_ident()

    def shrink(self, to: int) -> None:
        """Releases everything above `to`. Idempotent."""
        self._budget.free(self, to)


class Budget:
    """Thread-safe. Requests are granted in order, so that a large picture does not starve, but small ones may pass: see
    `_is_next`."""

    def __init__(self, total: int) -> None:
        self._total = total
        # Guards the two below and every grant's amount. Reentrant (as a Condition's default lock is): the garbage
        # collector may free a picture in the middle of `take`.
        self._changed = threading.Condition()
        self._granted: set[Grant] = set()
        self._waiting: deque[int] = deque()  # thread ids

    @property
    def used(self) -> int:
        """Bytes currently granted."""
        with self._changed:
            return sum(grant.amount for grant in self._granted)

    def take(self, amount: int, patience_s: float) -> Grant:
        """Waits for a grant of `amount`, or of the whole budget if that is less: the largest pictures are decoded
        alone.

        If all memory is held by threads that wait for more, so that none would ever be released, the first request is
        granted anyway. Raises Busy if the memory is not free within `patience_s`.
        """
        amount, me = min(amount, self._total), threading.get_ident()
        with self._changed:
            self._waiting.append(me)
            self._changed.notify_all()
            try:
                if not self._changed.wait_for(lambda: self._is_next(me, amount) and self._may(amount), patience_s):
                    raise Busy(
                        "too many large pictures are being decoded at once: send them one after another",
                        retry_after_ms=1000,
                    )
                grant = Grant(self, amount)
                self._granted.add(grant)
                return grant
            finally:
                self._waiting.remove(me)
                self._changed.notify_all()

    def free(self, grant: Grant, to: int) -> None:
        """As `Grant.shrink`."""
        with self._changed:
            if to < grant.amount:
                grant.amount = to
                if not to:
                    self._granted.discard(grant)
                self._changed.notify_all()

    def _is_next(self, thread: int, amount: int) -> bool:
        """Small ones pass by: what they take delays a large one little, and what it waits for would delay them much."""
        return self._waiting[0] == thread or amount <= self._total // _SMALL_SHARE

    def _may(self, amount: int) -> bool:
        if self.used + amount <= self._total:
            return True
        waiting = set(self._waiting)
        return all(grant.owner in waiting for grant in self._granted)
