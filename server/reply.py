"""The one answer to a request, on its way to whoever asked: no sockets and no bytes, so every package may use it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Protocol

from facewire.protocol.messages import Progress, Request, Result


class Connection(Protocol):
    """Who asked, as a reply sees them. Nothing here blocks or raises."""

    def gone(self) -> bool:
        """Is it lost?"""
        ...

    def send_progress(self, progress: Progress) -> None:
        """Sends it, unless something newer comes first."""
        ...

    def send_answer(self, reply: Reply, outcome: Result | Exception | None) -> None:
        """Sends the answer, or the failure that an error stands for; None: there is nothing to say."""
        ...


class Reply:
    """Progress, and then one answer or failure, whoever comes first with it: what comes later is dropped.

    A request's handler answers by returning or raising; that of a long operation is handed this, and the job that does
    the work answers. Thread-safe; no method blocks or raises.
    """

    def __init__(self, request: Request, connection: Connection) -> None:
        self.request = request
        self.started = time.monotonic()  # for the log
        self._connection = connection
        self._lock = threading.Lock()  # guards _open: no progress follows the answer
        self._open = True

    def gone(self) -> bool:
        """Does nobody wait any more: is the connection lost, or was this answered?"""
        return not self._open or self._connection.gone()

    def progress(self, done: int, total: int, details: Mapping[str, object]) -> None:
        """So much of the work is done."""
        with self._lock:
            if self._open:
                self._connection.send_progress(Progress(self.request.id, done, total, details))

    def answer(self, result: Result) -> None:
        """The work is done."""
        self._end(result)

    def failed(self, error: Exception) -> None:
        """The work can't be done."""
        self._end(error)

    def drop(self) -> None:
        """Nobody waits, so nothing is said."""
        self._end(None)

    def _end(self, outcome: Result | Exception | None) -> None:
        with self._lock:
            first, self._open = self._open, False
        if first:
            self._connection.send_answer(self, outcome)
