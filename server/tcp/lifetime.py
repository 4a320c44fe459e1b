"""A connection's requests in flight, how long it has been idle, and why it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

STOPPING = "the server is stopping"


class Lifetime:
    """A request holds one of `slots` until its answer is written, which bounds the unsent answers. Thread-safe."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._changed = threading.Condition()  # guards everything below
        self._in_flight = 0
        self._unanswered = 0  # those in flight whose answer is not queued yet
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
        """Why the server is ending the connection, or None. Once set, no new work begins."""
        with self._changed:
            return self._why

    def goes_on(self) -> bool:
        """Is it neither broken nor ending?"""
        with self._changed:
            return self._why is None and not self._lost

    def lose(self) -> None:
        """Marks the connection as broken: nobody waits for answers any more."""
        with self._changed:
            self._lost = True
            self._changed.notify_all()

    def end(self, why: str, *, if_idle: bool = False) -> bool:
        """Ends the connection once its requests are answered. False if it is ending already, or with `if_idle` if it is
        not idle."""
        with self._changed:
            if self._why is not None or self._lost or (if_idle and self._unanswered):
                return False
            self._why = why
            self._changed.notify_all()
            return True

    def silent_since(self) -> float | None:
        """When the connection fell idle (time.monotonic); None while it is busy or ending."""
        with self._changed:
            return None if self._unanswered or self._lost or self._why is not None else self._silent_since

    def unused_for(self) -> float:
        """Seconds since the last answer was written; 0 while one is pending."""
        with self._changed:
            return 0.0 if self._in_flight else time.monotonic() - self._last_answer

    # ------------------------------------------------------------------------------ slots

    def take_slot(self) -> bool:
        """Waits until another request may be accepted. False if none will be."""
        with self._changed:
            self._changed.wait_for(lambda: self._lost or self._in_flight < self._slots)
            if self._why is not None and self._why != STOPPING:
                return False
            self._begin()
            return not self._lost

    def take_last_slot(self) -> None:
        """Takes a slot for the last answer without waiting."""
        with self._changed:
            self._begin()

    def answered(self) -> None:
        """Notes that an answer is about to be sent. Called before the peer can see it."""
        with self._changed:
            self._unanswered -= 1
            self._silent_since = time.monotonic()

    def free_slot(self) -> None:
        """Frees the slot of an answer that was written or dropped."""
        with self._changed:
            self._in_flight -= 1
            self._last_answer = time.monotonic()
            self._changed.notify_all()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While a request waits for its slot: the connection is not idle, so it is not evicted."""
        with self._changed:
            self._unanswered += 1
        try:
            yield
        finally:
            with self._changed:
                self._unanswered -= 1

    # ------------------------------------------------------------------------------ waiting

    def wait_for_answers(self) -> None:
        """Waits until nothing is in flight."""
        with self._changed:
            self._changed.wait_for(lambda: self._lost or self._in_flight == 0)

    def pause(self, seconds: float) -> bool:
        """Waits this long. False if the connection is ended meanwhile."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._lost or self._why is not None, seconds)

    def _begin(self) -> None:
        self._in_flight += 1
        self._unanswered += 1
