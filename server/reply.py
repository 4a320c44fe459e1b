"""The single answer to a request: no sockets or bytes, so any package can use it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from facewire.protocol.messages import Progress, Request, Result
from facewire.server.access.caller import NOBODY, Caller


class Connection(Protocol):
    """The requester's connection, as a reply sees it. Nothing here blocks or raises."""

    def gone(self) -> bool:
        """Whether the connection is lost."""
        ...

    def send_progress(self, progress: Progress) -> None:
        """Queue a progress message; a newer one may replace it before it is sent."""
        ...

    def send_answer(self, reply: Reply, outcome: Result | Exception | None) -> None:
        """Send the answer, or the failure that an error maps to; None sends nothing."""
        ...


class Reply:
    """Progress messages, followed by one answer or failure. The first caller to end the reply wins; later calls are
    ignored.

    Most handlers answer by returning or raising. The handler of a long operation receives this object, and the job that
    does the work answers. Thread-safe; no method blocks or raises.
    """

    def __init__(self, request: Request, connection: Connection, caller: Caller = NOBODY) -> None:
        self.request = request
        self.caller = caller  # who asks
        self.at_end: Callable[[], None] = _nothing  # called once, before the answer is sent
        self.seen: Callable[[Result], Result] = _all  # what the caller sees of the result
        self.arrived = time.monotonic()
        self.started = self.arrived  # for the log; set again once its turn has come
        self._connection = connection
        self._lock = threading.Lock()  # guards _open: no progress may follow the answer
        self._open = True

    def gone(self) -> bool:
        """True once nobody waits: the connection is lost, or the request was answered."""
        return not self._open or self._connection.gone()

    def progress(self, done: int, total: int, details: Mapping[str, object]) -> None:
        """Report that `done` of `total` steps are finished."""
        with self._lock:
            if self._open:
                self._connection.send_progress(Progress(self.request.id, done, total, details))

    def answer(self, result: Result) -> None:
        """Send the result."""
        self._end(self.seen(result))

    def failed(self, error: Exception) -> None:
        """Send the failure."""
        self._end(error)

    def drop(self) -> None:
        """Close the reply without sending anything, as nobody waits."""
        self._end(None)

    def _end(self, outcome: Result | Exception | None) -> None:
        with self._lock:
            first, self._open = self._open, False
        if first:
            self.at_end()
            self._connection.send_answer(self, outcome)


def _nothing() -> None:
    return


def _all(result: Result) -> Result:
    return result
