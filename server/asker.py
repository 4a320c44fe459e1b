"""Whoever waits for an answer, as the work sees them: no sockets and no messages, so every package may use it."""

from __future__ import annotations

import math


class Asker:
    """One who waits for ever and needs no progress, such as a script. Every method may be called from any thread, and
    returns at once."""

    def __call__(self) -> bool:
        """Does nobody wait for the work any more: has whoever asked gone, or did it not begin in time?"""
        return self.left() <= 0

    def left(self) -> float:
        """Seconds that it may still wait for the next step to begin; 0 once it is too late."""
        return math.inf

    def proceeds(self) -> None:
        """A step begins: from here on, the wait for the next one counts."""

    def progress(self, done: int, total: int) -> None:
        """A step of long work is done, and others are left."""


class Part(Asker):
    """Work that is one step of something larger: it proceeds with that, which reports the progress."""

    def __init__(self, whole: Asker) -> None:
        self._whole = whole

    def left(self) -> float:
        """See Asker."""
        return self._whole.left()

    def proceeds(self) -> None:
        """See Asker."""
        self._whole.proceeds()

    def progress(self, done: int, total: int) -> None:
        """See Asker."""
        self._whole.proceeds()
