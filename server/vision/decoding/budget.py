"""How much memory all pictures being decoded, or decoded and still in use, may take together."""

from __future__ import annotations

import threading
import time
from collections import deque

from server.errors import Busy


class Grant:
    """A part of the budget; give it back with `shrink(0)`."""

    def __init__(self, budget: Budget, amount: int) -> None:
        self._budget = budget
        self.amount = amount

    def shrink(self, to: int) -> None:
        """Gives back what is over `to`, for those who wait. Harmless when repeated."""
        self._budget.free(self, to)


class Budget:
    """Thread-safe; served in the order of asking, so that a large picture is not passed by for ever."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        # Guards _free, _queue and every grant's amount. Reentrant (as a Condition is of itself): the garbage collector
        # may free a picture in the midst of `take`.
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    @property
    def used(self) -> int:
        """Bytes granted now."""
        return self.total - self._free

    def take(self, amount: int, patience_s: float) -> Grant:
        """A grant of `amount`, or of all there is where that is less: the largest picture is decoded alone.

        Raises Busy where it isn't free within `patience_s`.
        """
        amount, me = min(amount, self.total), object()
        until = time.monotonic() + patience_s
        with self._changed:
            self._queue.append(me)
            try:
                free = lambda: self._queue[0] is me and self._free >= amount  # noqa: E731
                if not self._changed.wait_for(free, until - time.monotonic()):
                    raise Busy(
                        "too many large pictures are being decoded at once: send them one after the other",
                        retry_after_ms=1000,
                    )
                self._free -= amount
                return Grant(self, amount)
            finally:
                self._queue.remove(me)
                self._changed.notify_all()

    def free(self, grant: Grant, to: int) -> None:
        """See `Grant.shrink`."""
        with self._changed:
            back = max(0, grant.amount - to)
            grant.amount -= back
            self._free += back
            if back:
                self._changed.notify_all()
