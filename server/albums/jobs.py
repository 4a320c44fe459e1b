"""Long work, one piece after the other in a thread of its own, followed by any number of clients.

The thread that works only notes how far it is; another one tells those who wait, a few times a second. So a client that
is slow to listen costs the work nothing, and what it misses is replaced by something newer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from facewire.protocol.messages import Result
from facewire.server.errors import Busy, RequestError
from facewire.server.reply import Reply

_REPORT_EVERY_S = 0.25  # as often as a progress bar is worth drawing
_STILL_THERE_S = 5.0  # at least this often, so that nobody takes a long step for the end
_log = logging.getLogger("facewire.albums")

_Result = TypeVar("_Result")


class Stopped(Exception):
    """The server stops: the work goes on at the next start, or when it is asked for again."""


@dataclass(frozen=True, slots=True)
class State:
    """How far a piece of work is."""

    stage: str = "waiting"
    done: int = 0
    total: int = 0
    details: Mapping[str, object] = field(default_factory=dict)


class Job:
    """A piece of work. `work(job)` runs once, calls `at` now and then, and gives what those who wait are answered."""

    def __init__(self, key: object, work: Callable[[Job], Result], stopping: threading.Event) -> None:
        """`key`: two jobs of one key are one."""
        self.key = key
        self.work = work
        # Set by the working thread before it looks a last time whether something is left to do: who asks before is
        # served by that look, who asks after it gets a new job.
        self.sealed = False
        self.state = State()  # replaced whole, by the working thread only
        self.replies: list[Reply] = []  # guarded by the lock of Jobs, as are the two below
        self.reported: State | None = None
        self.reported_at = 0.0
        self._stopping = stopping

    def at(self, stage: str, done: int, total: int, **details: object) -> None:
        """So far it is. Raises Stopped when the server stops."""
        self.state = State(stage, done, total, details)
        if self._stopping.is_set():
            raise Stopped

    def patiently(self, work: Callable[[], _Result]) -> _Result:
        """What `work` gives, tried again as long as the server is too busy for it. Raises Stopped when it stops."""
        while True:
            try:
                return work()
            except Busy as busy:
                if self._stopping.wait(busy.retry_after_ms / 1000):
                    raise Stopped from busy

    def counted(self, done: int, total: int) -> None:
        """`at`, in the same stage."""
        self.state = replace(self.state, done=done, total=total)
        if self._stopping.is_set():
            raise Stopped


class Jobs:
    """A thread that works and a thread that reports. `close` ends both.

    How much waits is bounded by who asks: every job stands for a row on disk, of which there are so many at most.
    """

    def __init__(self, name: str) -> None:
        self._stopping = threading.Event()
        self._changed = threading.Condition()  # guards the two below, and the replies of every job
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._worker = threading.Thread(target=self._work, name=f"facewire-{name}", daemon=True)
        self._reporter = threading.Thread(target=self._report_all, name=f"facewire-{name}-reporter", daemon=True)

    def start(self) -> None:
        """Begins to work."""
        self._worker.start()
        self._reporter.start()

    def submit(self, key: object, work: Callable[[Job], Result], reply: Reply | None = None) -> None:
        """Queues work, or follows the job of that key that waits or runs already. Raises Busy at the end."""
        with self._changed:
            job = next((job for job in self._all() if job.key == key and not job.sealed), None)
            if job is None:
                if self._stopping.is_set():
                    raise _stopped_error()
                job = Job(key, work, self._stopping)
                self._waiting.append(job)
                self._changed.notify_all()
            if reply is not None:
                job.replies.append(reply)

    def has(self, key: object) -> bool:
        """Does a job of that key wait or run?"""
        with self._changed:
            return any(job.key == key for job in self._all())

    def close(self, patience_s: float) -> bool:
        """Stops at the next step of the work under way; did it end in time? Whoever waits is told that it is later."""
        self._stopping.set()
        with self._changed:
            waiting, self._waiting = list(self._waiting), deque()
            self._changed.notify_all()
        for job in waiting:
            self._end(job, _stopped_error())
        if not self._worker.ident:
            return True
        self._worker.join(patience_s)
        self._reporter.join(patience_s)
        return not self._worker.is_alive()

    def _all(self) -> list[Job]:
        return [*([self._running] if self._running else []), *self._waiting]

    def _work(self) -> None:
        while (job := self._next()) is not None:
            outcome: Result | Exception
            try:
                outcome = job.work(job)
            except Stopped:
                outcome = _stopped_error()
            except RequestError as error:
                outcome = error
            except Exception as error:  # noqa: BLE001 - a bug must reach those who wait, and the thread must live
                _log.exception("work on %s failed", job.key)
                outcome = error
            with self._changed:
                self._running = None  # before anybody hears of it: who asks again then gets a new job
            self._end(job, outcome)

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping.is_set())
            if self._stopping.is_set():
                return None
            self._running = self._waiting.popleft()
            return self._running

    def _report_all(self) -> None:
        while not self._stopping.wait(_REPORT_EVERY_S):
            with self._changed:
                for job in self._all():
                    self._report(job)

    def _report(self, job: Job) -> None:
        """Called with the lock held, so that nobody hears of progress after the end."""
        job.replies = [reply for reply in job.replies if not reply.gone()]
        state, at = job.state, time.monotonic()
        if not job.replies or (state is job.reported and at - job.reported_at < _STILL_THERE_S):
            return
        job.reported, job.reported_at = state, at
        for reply in job.replies:
            reply.progress(state.done, state.total, {"stage": state.stage, **state.details})

    def _end(self, job: Job, outcome: Result | Exception) -> None:
        with self._changed:
            replies, job.replies = job.replies, []
        for reply in replies:
            if isinstance(outcome, Exception):
                reply.failed(outcome)
            else:
                reply.answer(outcome)


def _stopped_error() -> Busy:
    return Busy("the server is stopping; what is left is done after its next start", retry_after_ms=5000)
