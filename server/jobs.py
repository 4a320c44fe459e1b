"""Long-running jobs: done one at a time in a thread of their own, and followed by any number of clients.

The working thread only records progress; another thread reports it to the waiting clients a few times a second. So a
slow client doesn't slow the work down, and progress that it misses is replaced by newer progress.
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

_REPORT_EVERY_S = 0.25  # as often as a progress bar needs redrawing
_LATER_MS = 5000  # long work takes many seconds
_STILL_THERE_S = 5.0  # at least this often, so that clients don't time out during a long step
_log = logging.getLogger("facewire.jobs")

_Result = TypeVar("_Result")


class Stopped(Exception):
    """The server is stopping. The work resumes at the next start, or when it is requested again."""


@dataclass(frozen=True, slots=True)
class State:
    """The progress of a job."""

    stage: str = "waiting"
    done: int = 0
    total: int = 0
    details: Mapping[str, object] = field(default_factory=dict)


class Job:
    """A unit of work. `work(job)` runs once, calls `at` now and then, and returns the answer to all waiting clients."""

    def __init__(self, key: object, work: Callable[[Job], Result], stopping: threading.Event) -> None:
        """`key`: requests with equal keys share a job."""
        self.key = key
        self.work = work
        # False from the working thread's last check for remaining work on: requests before that are covered by the
        # check, later ones get a new job. Without it, one that came in between would be answered and never worked on.
        self.joinable = True
        self.state = State()  # replaced whole, by the working thread only
        self.replies: list[Reply] = []  # guarded by the lock of Jobs, like the next two
        self.reported: State | None = None
        self.reported_at = 0.0
        self._stopping = stopping

    def at(self, stage: str, done: int, total: int, **details: object) -> None:
        """Records progress. Raises Stopped when the server stops."""
        self.state = State(stage, done, total, details)
        if self._stopping.is_set():
            raise Stopped

    def patiently(self, work: Callable[[], _Result]) -> _Result:
        """The result of `work`, retried while it raises Busy. Raises Stopped when the server stops."""
        while True:
            try:
                return work()
            except Busy as busy:
                if self._stopping.wait(busy.retry_after_ms / 1000):
                    raise Stopped from busy

    def counted(self, done: int, total: int) -> None:
        """Records progress within the same stage. Raises Stopped when the server stops."""
        self.state = replace(self.state, done=done, total=total)
        if self._stopping.is_set():
            raise Stopped


class Jobs:
    """A queue of jobs, with a working thread and a reporting thread. `close` ends both.

    Callers bound the queue where every job stands for a row on disk, whose number is limited; elsewhere `most` does,
    the number of jobs that may wait.
    """

    def __init__(self, name: str, *, most: int | None = None) -> None:
        self._most = most
        self._stopping = threading.Event()
        self._changed = threading.Condition()  # guards the next two, and the replies of every job
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._worker = threading.Thread(target=self._work, name=f"facewire-{name}", daemon=True)
        self._reporter = threading.Thread(target=self._report_all, name=f"facewire-{name}-reporter", daemon=True)

    def start(self) -> None:
        """Starts both threads."""
        self._worker.start()
        self._reporter.start()

    def submit(self, key: object, work: Callable[[Job], Result], reply: Reply | None = None) -> None:
        """Queues work, or joins the waiting or running job of that key. Raises Busy if too many wait, or the server is
        stopping."""
        with self._changed:
            job = next((job for job in self._all() if job.key == key and job.joinable), None)
            if job is None:
                if self._stopping.is_set():
                    raise _stopped_error()
                if self._most is not None and len(self._waiting) >= self._most:
                    raise Busy(f"{len(self._waiting)} others wait for this already", retry_after_ms=_LATER_MS)
                job = Job(key, work, self._stopping)
                self._waiting.append(job)
                self._changed.notify_all()
            if reply is not None:
                job.replies.append(reply)

    def has(self, key: object) -> bool:
        """Is a job of that key waiting or running?"""
        with self._changed:
            return any(job.key == key for job in self._all())

    def close(self, patience_s: float) -> bool:
        """Stops at the job's next step, and answers waiting clients with Busy. Did the thread end in time?"""
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
            except Exception as error:  # noqa: BLE001 - report bugs to the waiting clients and keep the thread alive
                _log.exception("work on %s failed", job.key)
                outcome = error
            with self._changed:
                self._running = None  # before answering, so that a client that then asks again gets a new job
            self._end(job, outcome)
            del job, outcome  # before the wait for the next: a job holds what it works on

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping.is_set())
            if self._stopping.is_set():
                return None
            self._running = self._waiting.popleft()
            return self._running

    def _report_all(self) -> None:
        while not self._stopping.wait(_REPORT_EVERY_S):
            self._report_each()

    def _report_each(self) -> None:
        with self._changed:
            for job in self._all():
                self._report(job)

    def _report(self, job: Job) -> None:
        """Called with the lock held, so that no progress is sent after the answer."""
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
    return Busy("the server is stopping; the rest is done after its next start", retry_after_ms=5000)
