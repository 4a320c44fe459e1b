"""A bounded pool of threads: a fixed number of workers, a queue bounded in number, bytes and time.

Connections take turns: of each that has work waiting, one request, so a client that sends many gets no more than one
that sends one. Who would have to wait too long is refused at once; who has waited too long after all, then.
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

_FOR_THOSE_DUE = 1.25  # times the wait that others may expect
_AT_MOST = 2  # times the wait that is expected of anybody: then the forecast was wrong, and who waits is told


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Work for a worker. Exactly one of `run`, `refuse` and `expire` is called, and none may raise."""

    owner: Hashable
    kind: str
    size: int  # bytes that it keeps in memory while it waits
    deadline: float  # time.monotonic
    run: Callable[[], None]
    refuse: Callable[[int], None]  # with the milliseconds after which to ask again, 0 if the pool stops
    expire: Callable[[], None]  # the deadline has passed


class Workers:
    """Runs jobs, the owners taking turns; what `stop` finds waiting is refused instead."""

    def __init__(self, threads: int, queue: int, *, most_bytes: int, max_wait_s: float) -> None:
        """`queue`: jobs that may wait, which keep `most_bytes`; `max_wait_s`: how long one may be expected to wait."""
        self._capacity = queue
        self._most_bytes = most_bytes
        self._max_wait_s = max_wait_s
        self._lock = threading.Lock()  # guards everything below
        self._changed = threading.Condition(self._lock)  # for workers: a job waits
        self._sooner = threading.Condition(self._lock)  # for the timekeeper: another deadline is the next
        self._waiting: dict[Hashable, deque[Job]] = {}  # by owner, in the order of their turns; no empty ones
        self._arrivals: dict[Job, float] = {}  # the same jobs, and until when each may stay
        self._sleeps_until = math.inf  # the timekeeper
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
        """Queues a job, or refuses it or, where the queue is full, the newest of who has most waiting. Never blocks."""
        with self._lock:
            refused, after_ms = (job, 0) if self._stopping else self._admit(job)
        if refused is not None:
            refused.refuse(after_ms)

    def leave(self, owner: Hashable) -> None:
        """It asks no more, so nobody is sent away for longer because it was, too."""
        with self._lock:
            self._forecast.forget(owner)

    def stop(self) -> None:
        """Refuses what waits and lets what runs finish; returns at once. Harmless when repeated."""
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
        """Waits for the threads' end, no longer than `until` (time.monotonic); have all ended?"""
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    # ------------------------------------------------------------------------------ with the lock held

    def _admit(self, job: Job) -> tuple[Job | None, int]:
        """Queues it; gives who is refused over that, and when it should ask again."""
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
        """Will it have its turn soon enough? Who asks again when told to goes before those who come for the first time,
        and what runs was counted already when it was told: else whoever was served last would always be next."""
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
        """What others have waiting that is taken before it. Its owner's own doesn't count: who sends several requests
        at once, which are bounded, knows that they are done one after the other."""
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
        """It waits no more."""
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
                self._waiting[owner] = self._waiting.pop(owner)  # the others have their turn first
            self._forecast.began(job, job.kind)
            return job

    def _keep_time(self) -> None:
        while (tell := self._next_late()) is not None:
            tell()

    def _next_late(self) -> Callable[[], None] | None:
        """What to tell the next job whose time is up, when it is; None once the pool stops."""
        with self._lock:
            while not self._stopping:
                job, until = min(self._arrivals.items(), key=lambda entry: entry[1], default=(None, math.inf))
                now = time.monotonic()
                if job is not None and until <= now:
                    if job.deadline > now and len(self._waiting) == 1:
                        self._arrivals[job] = job.deadline  # nobody else's work is before it
                        continue
                    after_ms = self._ask_again_ms(job)
                    self._forget(job)
                    return job.expire if job.deadline <= now else partial(job.refuse, after_ms)
                self._sleeps_until = until
                self._sooner.wait(None if job is None else until - now)
            return None
