"""How long a request may wait, and progress reports to its connection meanwhile."""

from __future__ import annotations

import threading
import time

from facewire.server.asker import Asker
from facewire.server.reply import Reply

PROGRESS_EVERY_S = 2.0  # between reports of long work: often enough for any client's timeout, rare enough to be cheap


class Patience(Asker):
    """A request whose work must begin by `deadline` (time.monotonic), and each further step within `step_s` seconds of
    the previous one. Long work reports its progress to the connection."""

    def __init__(self, reply: Reply, deadline: float, step_s: float) -> None:
        self._reply = reply
        self._step_s = step_s
        self._lock = threading.Lock()  # guards the next two
        self._deadline = deadline
        self._reported = time.monotonic()

    def left(self) -> float:
        """See Asker."""
        with self._lock:
            deadline = self._deadline
        return 0.0 if self._reply.gone() else max(0.0, deadline - time.monotonic())

    def proceeds(self) -> None:
        """See Asker."""
        with self._lock:
            self._deadline = max(self._deadline, time.monotonic() + self._step_s)

    def progress(self, done: int, total: int) -> None:
        """See Asker."""
        self.proceeds()
        now = time.monotonic()
        with self._lock:
            if now - self._reported < PROGRESS_EVERY_S:
                return
            self._reported = now
        self._reply.progress(done, total, {})
