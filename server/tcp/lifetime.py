"""What a connection has under way, since when it has been silent, and why it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

STOPPING = "the server is stopping"


class Lifetime:
    """A request holds one of `slots` until its answer is written, so the answers that wait are bounded. Thread-safe."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._changed = threading.Condition()  # guards all below
        self._in_flight = 0
        self._unanswered = 0  # of those in flight: no answer is on its way
        self._lost = False
        self._why: str | None = None
        self._silent_since = self._last_answer = time.monotonic()

    @property
    def lost(self) -> bool:
        """Is the connection broken?"""
        with self._changed:
            return self._lost

    @property
    def why_it_ends(self) -> str | None:
        """Why the server ends it, once it does: nothing is begun any more."""
        with self._changed:
            return self._why

    def goes_on(self) -> bool:
        """Is it neither broken nor ending?"""
        with self._changed:
            return self._why is None and not self._lost

    def lose(self) -> None:
        """It is broken: nobody waits for anything."""
        with self._changed:
            self._lost = True
            self._changed.notify_all()

    def end(self, why: str, *, if_idle: bool = False) -> bool:
        """It is to end once it is answered. False where it is not idle, or ends already."""
        with self._changed:
            if self._why is not None or self._lost or (if_idle and self._unanswered):
                return False
            self._why = why
            self._changed.notify_all()
            return True

    def silent_since(self) -> float | None:
        """Since when nothing was asked or answered (time.monotonic); None while something is, or when it ends."""
        with self._changed:
            return None if self._unanswered or self._lost or self._why is not None else self._silent_since

    def unused_for(self) -> float:
        """Seconds since the last answer was written; 0 while one is still to come."""
        with self._changed:
            return 0.0 if self._in_flight else time.monotonic() - self._last_answer

    # ------------------------------------------------------------------------------ slots

    def take_slot(self) -> bool:
        """Waits until another request may be taken in; False where it may not be any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._lost or self._in_flight < self._slots)
            if self._why is not None and self._why != STOPPING:
                return False
            self._begin()
            return not self._lost

    def take_last_slot(self) -> None:
        """For the last word, which waits for nobody."""
        with self._changed:
            self._begin()

    def answered(self) -> None:
        """An answer is on its way. Called before the peer can know of it."""
        with self._changed:
            self._unanswered -= 1
            self._silent_since = time.monotonic()

    def free_slot(self) -> None:
        """The answer is written, or never will be."""
        with self._changed:
            self._in_flight -= 1
            self._last_answer = time.monotonic()
            self._changed.notify_all()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Something has been asked that has no slot yet: the connection doesn't give way."""
        with self._changed:
            self._unanswered += 1
        try:
            yield
        finally:
            with self._changed:
                self._unanswered -= 1

    # ------------------------------------------------------------------------------ waiting

    def wait_for_answers(self) -> None:
        """Until nothing is in flight."""
        with self._changed:
            self._changed.wait_for(lambda: self._lost or self._in_flight == 0)

    def pause(self, seconds: float) -> bool:
        """Waits so long; False when it is to end meanwhile."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._lost or self._why is not None, seconds)

    def _begin(self) -> None:
        self._in_flight += 1
        self._unanswered += 1
