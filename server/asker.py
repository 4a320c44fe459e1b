"""The requester, as seen by the code doing the work: no sockets or messages, so any package can use it."""

from __future__ import annotations

import math


class Asker:
    """A requester that waits forever and needs no progress, such as a script. Methods are thread-safe and return
    immediately."""

    def __call__(self) -> bool:
        """True once nobody waits for the work: the requester is gone, or the step did not begin in time."""
        return self.left() <= 0

    def left(self) -> float:
        """Seconds left for the next step to begin; 0 once it is too late."""
        return math.inf

    def proceeds(self) -> None:
        """Mark the start of a step, which restarts the wait for the next one."""

    def progress(self, done: int, total: int) -> None:
        """Report that `done` of `total` steps of long-running work are finished."""


WAITS_FOREVER = Asker()


class Part(Asker):
    """One step of a larger job: progress within it only keeps the job alive, and the job reports its own progress."""

    def __init__(self, whole: Asker) -> None:
        self._whole = whole

    def left(self) -> float:
        """As the whole job's."""
        return self._whole.left()

    def proceeds(self) -> None:
        """Forwards to the whole job."""
        self._whole.proceeds()

    def progress(self, done: int, total: int) -> None:
        """Keeps the whole job alive; reports nothing."""
        self._whole.proceeds()
