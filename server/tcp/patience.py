"""How long a request may wait, and what its connection hears meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from facewire.protocol.codec import encode_answer
from facewire.protocol.messages import Progress
from facewire.server.asker import Asker

NEWS_S = 2.0  # between two signs of life of long work: often enough for any client's patience, too rare to cost


class Patience(Asker):
    """A request whose work must begin by `deadline` (time.monotonic); each of its further steps, `step_s` after the
    one before. Long work tells its connection so."""

    def __init__(
        self, request_id: int, deadline: float, step_s: float, gone: Callable[[], bool], tell: Callable[[bytes], None]
    ) -> None:
        """`gone`: is the connection lost? `tell` takes encoded progress; neither blocks."""
        self._id = request_id
        self._step_s = step_s
        self._gone = gone
        self._tell = tell
        self._lock = threading.Lock()  # guards the three below: after `close` nothing is told
        self._deadline = deadline
        self._told = time.monotonic()
        self._over = False

    def left(self) -> float:
        """See Asker."""
        with self._lock:
            deadline = self._deadline
        return 0.0 if self._gone() else max(0.0, deadline - time.monotonic())

    def proceeds(self) -> None:
        """See Asker."""
        with self._lock:
            self._deadline = max(self._deadline, time.monotonic() + self._step_s)

    def progress(self, done: int, total: int) -> None:
        """See Asker."""
        self.proceeds()
        now = time.monotonic()
        with self._lock:
            if self._over or now - self._told < NEWS_S:
                return
            self._told = now
            self._tell(encode_answer(Progress(self._id, done, total, {})))

    def close(self) -> None:
        """The answer is next: no news any more."""
        with self._lock:
            self._over = True
