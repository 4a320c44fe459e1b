"""The total memory that all pictures being decoded, or decoded and still in use, may take."""

from __future__ import annotations

import threading
from collections import deque

from facewire.server.errors import Busy

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
                        "too many large pictures are being decoded at once: send them one after the other",
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
