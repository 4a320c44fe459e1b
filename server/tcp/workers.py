"""A bounded pool of threads: a fixed number of workers, a queue bounded in number, bytes and time.

Connections take turns, one request each, so a client that sends many requests gets no more than one that sends a
single one. A request that would wait too long is refused at once; one that does wait too long, once its time is up.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial

from facewire.server.cores import cores
from facewire.server.tcp.forecast import Forecast

_FOR_THOSE_DUE = 1.25  # times `max_wait_s`: the longest expected wait of an owner that retries when told to
_AT_MOST = 2  # times `max_wait_s`: after that the forecast was wrong, and the request is refused


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Work for a worker. Exactly one of `run`, `refuse` and `expire` is called; none may raise."""

    owner: Hashable
    kind: str
    size: int  # bytes it holds in memory while it waits
    deadline: float  # time.monotonic
    run: Callable[[], None]
    refuse: Callable[[int], None]  # called with the milliseconds after which to retry, 0 if the pool stops
    expire: Callable[[], None]  # the deadline has passed


@dataclass(frozen=True, slots=True)
class Load:
    """Jobs `waiting` and the memory they hold, and how many of the `workers` are `busy`."""

    waiting: int
    waiting_bytes: int
    busy: int
    workers: int


class Workers:
    """Runs jobs; owners take turns. `stop` refuses those still waiting."""

    def __init__(self, threads: int, queue: int, *, most_bytes: int, max_wait_s: float) -> None:
        """`queue`: most jobs waiting, which hold `most_bytes` at most; `max_wait_s`: longest expected wait of a job."""
        self._count = threads
        self._capacity = queue
        self._most_bytes = most_bytes
        self._max_wait_s = max_wait_s
        self._lock = threading.Lock()  # guards everything below
        self._changed = threading.Condition(self._lock)  # for workers: there is a job
        self._sooner = threading.Condition(self._lock)  # for the timekeeper: the next deadline has changed
        self._waiting: dict[Hashable, deque[Job]] = {}  # by owner, in the order of their turns; never empty
        self._arrivals: dict[Job, float] = {}  # the same jobs, and until when each may wait
        self._sleeps_until = math.inf  # when the timekeeper wakes
        self._bytes = 0
        self._idle = 0
        self._stopping = False
        self._forecast = Forecast(min(threads, cores()))
        # Daemons: a native computation that never returns must not keep the process from ending.
        self._threads = [
            *(threading.Thread(target=self._work, name=f"facewire-worker-{n}", daemon=True) for n in range(threads)),
            threading.Thread(target=self._keep_time, name="facewire-timekeeper", daemon=True),
        ]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> None:
        """Queues a job, or refuses it. If the queue is full, the newest job of the owner with most waiting is refused.
        Never blocks."""
        with self._lock:
            refused, after_ms = (job, 0) if self._stopping else self._admit(job)
        if refused is not None:
            refused.refuse(after_ms)

    def load(self) -> Load:
        """The load at this moment."""
        with self._lock:
            return Load(len(self._arrivals), self._bytes, self._count - self._idle, self._count)

    def leave(self, owner: Hashable) -> None:
        """Forgets a disconnected owner, so that it no longer delays the retries of others."""
        with self._lock:
            self._forecast.forget(owner)

    def stop(self) -> None:
        """Refuses waiting jobs and lets running ones finish; returns at once. Harmless when repeated."""
        with self._lock:
            self._stopping = True
            refused = list(self._arrivals)
            self._arrivals.clear()
            self._waiting.clear()
            self._bytes = 0
            self._changed.notify_all()
            self._sooner.notify_all()
        for job in refused:
            job.refuse(0)

    def join(self, until: float) -> bool:
        """Waits until `until` (time.monotonic) at most; have all threads ended?"""
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    # ------------------------------------------------------------------------------ with the lock held

    def _admit(self, job: Job) -> tuple[Job | None, int]:
        """Queues the job. Returns the job refused for it, if any, and in how many milliseconds to retry."""
        if len(self._arrivals) < self._idle:  # a worker is about to take it
            self._append(job)
            return None, 0
        if not self._in_time(job):
            return job, self._ask_again_ms(job)
        if len(self._arrivals) < self._capacity + self._idle and self._holds(job.size):
            self._append(job)
            return None, 0
        longest = max(self._waiting.values(), key=len, default=None)
        mine = len(self._waiting.get(job.owner, ()))
        if longest is None or len(longest) <= mine + 1 or not self._holds(job.size - longest[-1].size):
            return job, self._ask_again_ms(job)
        refused = longest[-1]
        after_ms = self._ask_again_ms(refused)
        self._forget(refused)
        self._append(job)
        return refused, after_ms

    def _in_time(self, job: Job) -> bool:
        """Will the job have its turn soon enough? Owners that retry when told to go before new ones. Running jobs don't
        count for them, as they did when the retry time was set; else whoever was served last would always be next."""
        left_s = job.deadline - time.monotonic()
        if self._forecast.is_due(job.owner):
            kinds = (other.kind for other in self._ahead_of(job))
            return self._forecast.cost_s(kinds) <= min(_FOR_THOSE_DUE * self._max_wait_s, left_s)
        return self._wait_s(job) <= min(self._max_wait_s, left_s)

    def _holds(self, more: int) -> bool:
        return not self._bytes or self._bytes + more <= self._most_bytes

    def _wait_s(self, job: Job) -> float:
        return self._forecast.wait_s(other.kind for other in self._ahead_of(job))

    def _ask_again_ms(self, job: Job) -> int:
        not_before_s = max(0.0, self._wait_s(job) - self._max_wait_s)
        return max(1, round(1000 * self._forecast.next_turn_s(job.owner, job.kind, not_before_s)))

    def _ahead_of(self, job: Job) -> list[Job]:
        """Jobs of other owners that will run before this one. Its owner's own don't count: a client that sends several
        requests at once (their number is bounded) knows that they are done one after the other."""
        turns = len(self._waiting.get(job.owner, ())) + 1
        ahead: list[Job] = []
        for owner, jobs in self._waiting.items():
            if owner is not job.owner:
                ahead += itertools.islice(jobs, turns)
        return ahead

    def _append(self, job: Job) -> None:
        until = min(job.deadline, time.monotonic() + _AT_MOST * self._max_wait_s)
        self._arrivals[job] = until
        self._forecast.forget(job.owner)
        if until < self._sleeps_until:
            self._sooner.notify()
        self._waiting.setdefault(job.owner, deque()).append(job)
        self._bytes += job.size
        self._changed.notify()

    def _forget(self, job: Job) -> None:
        """Removes a job from the queue."""
        jobs = self._waiting[job.owner]
        jobs.remove(job)
        if not jobs:
            del self._waiting[job.owner]
        del self._arrivals[job]
        self._bytes -= job.size

    # ------------------------------------------------------------------------------ threads

    def _work(self) -> None:
        while (job := self._take()) is not None:
            job.run()
            with self._lock:
                self._forecast.ended(job)
            del job  # and with it the request's picture, which an idle worker would keep until the next one

    def _take(self) -> Job | None:
        with self._lock:
            self._idle += 1
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            self._idle -= 1
            if not self._waiting:
                return None
            owner = next(iter(self._waiting))
            job = self._waiting[owner][0]
            self._forget(job)
            if owner in self._waiting:
                self._waiting[owner] = self._waiting.pop(owner)  # to the end: the other owners come first
            self._forecast.began(job, job.kind)
            return job

    def _keep_time(self) -> None:
        while (tell := self._next_late()) is not None:
            tell()
            del tell  # as in `_work`

    def _next_late(self) -> Callable[[], None] | None:
        """Waits until the next job's time is up, and returns the call that tells it. None once the pool stops."""
        with self._lock:
            while not self._stopping:
                job, until = min(self._arrivals.items(), key=lambda entry: entry[1], default=(None, math.inf))
                now = time.monotonic()
                if job is not None and until <= now:
                    if job.deadline > now and len(self._waiting) == 1:
                        self._arrivals[job] = job.deadline  # no other owner's work is ahead of it
                        continue
                    after_ms = self._ask_again_ms(job)
                    self._forget(job)
                    return job.expire if job.deadline <= now else partial(job.refuse, after_ms)
                self._sleeps_until = until
                pause_s = None if job is None else until - now
                del job  # it will have run long before the pause is over
                self._sooner.wait(pause_s)
            return None
