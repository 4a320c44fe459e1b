"""Faces of all connections share the networks: one bounded queue, one thread, batches of what is there.

A batch starts as soon as the networks are free, so a lone client never waits for company; while one batch runs the next
one gathers. Work whose client has gone is dropped before it is computed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from server.errors import Busy, TimedOut

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

DEFAULT_CAPACITY = 256  # faces waiting: about four seconds of work on two cores, more than anybody waits for
_FIRST_GUESS_MS = 20.0  # a face on two AVX2 cores, until the first batch has been timed

Abandoned = Callable[[], bool]
"""Whether nobody waits for the work any more."""


def never() -> bool:
    """The work is always wanted."""
    return False


@dataclass(slots=True, eq=False)
class _Job(Generic[Item, Outcome]):
    """The faces of one picture. `outcomes` fills in order; the future is done when it is full."""

    items: Sequence[Item]
    abandoned: Callable[[], bool]
    future: Future[list[Outcome]]
    taken: int = 0
    outcomes: list[Outcome] = field(default_factory=list)


class Batcher(Generic[Item, Outcome]):
    """`compute` turns up to `largest` items into as many outcomes; only the batcher's own thread calls it."""

    def __init__(
        self,
        compute: Callable[[list[Item]], Sequence[Outcome]],
        *,
        largest: int,
        capacity: int = DEFAULT_CAPACITY,
        clock: Callable[[], float],
    ) -> None:
        self._compute = compute
        self._largest = largest
        self._capacity = capacity
        self._clock = clock
        # Guards _jobs, _waiting and _closed; notified when a job arrives and when the batcher closes.
        self._changed = threading.Condition()
        self._jobs: deque[_Job[Item, Outcome]] = deque()
        self._waiting = 0
        self._closed = False
        self._item_ms = _FIRST_GUESS_MS
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    def run(self, items: Sequence[Item], abandoned: Callable[[], bool] = never) -> list[Outcome]:
        """The outcomes of `items`, in order; waits for them.

        Raises Busy at once when the queue is full, TimedOut when `abandoned` became true before the work began.
        A job is never refused by an empty queue, however many faces its picture shows.
        """
        if not items:
            return []
        job: _Job[Item, Outcome] = _Job(items, abandoned, Future())
        with self._changed:
            if self._closed:
                raise Busy("the server is stopping", retry_after_ms=1000)
            if self._waiting and self._waiting + len(items) > self._capacity:
                raise Busy("too many faces are waiting", retry_after_ms=max(1, round(self._waiting * self._item_ms)))
            self._jobs.append(job)
            self._waiting += len(items)
            self._changed.notify()
        return job.future.result()

    @property
    def waiting(self) -> int:
        """Faces in the queue now."""
        return self._waiting

    @property
    def running(self) -> bool:
        """False once `close` has been called."""
        return not self._closed

    def close(self) -> None:
        """Refuses what waits, finishes the batch under way and ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            if batch:
                self._finish(batch)

    def _next_batch(self) -> list[tuple[_Job[Item, Outcome], Item]] | None:
        """Up to `largest` faces in order of arrival; None once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            if self._closed:
                for job in self._jobs:
                    job.future.set_exception(Busy("the server is stopping", retry_after_ms=1000))
                self._jobs.clear()
                return None
            batch: list[tuple[_Job[Item, Outcome], Item]] = []
            while self._jobs and len(batch) < self._largest:
                self._take_from(self._jobs[0], batch)
            return batch

    def _take_from(self, job: _Job[Item, Outcome], batch: list[tuple[_Job[Item, Outcome], Item]]) -> None:
        """Moves what fits of the first job into the batch; called with the lock held."""
        if job.taken == 0 and job.abandoned():
            self._drop(job, TimedOut("nobody waits for this any more"))
            return
        count = min(self._largest - len(batch), len(job.items) - job.taken)
        batch.extend((job, item) for item in job.items[job.taken : job.taken + count])
        job.taken += count
        self._waiting -= count
        if job.taken == len(job.items):
            self._jobs.popleft()

    def _drop(self, job: _Job[Item, Outcome], reason: Exception) -> None:
        self._jobs.remove(job)
        self._waiting -= len(job.items) - job.taken
        job.future.set_exception(reason)

    def _finish(self, batch: list[tuple[_Job[Item, Outcome], Item]]) -> None:
        begun = self._clock()
        try:
            outcomes = self._compute([item for _, item in batch])
        except Exception as error:  # noqa: BLE001 - a bug in a network must reach those who wait, and the thread must live
            for job in {id(job): job for job, _ in batch}.values():
                self._fail(job, error)
            return
        self._item_ms = (self._clock() - begun) * 1000 / len(batch)
        for (job, _), outcome in zip(batch, outcomes, strict=True):
            job.outcomes.append(outcome)
            if len(job.outcomes) == len(job.items):
                job.future.set_result(job.outcomes)

    def _fail(self, job: _Job[Item, Outcome], error: Exception) -> None:
        with self._changed:
            if job in self._jobs:
                self._drop(job, error)
                return
        job.future.set_exception(error)
