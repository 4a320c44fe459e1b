"""All connections' faces share the networks: one bounded queue, one thread, batches of whatever is waiting.

A batch starts as soon as the networks are free, so a single client never waits for a batch to fill; while one batch
runs, the next is collected. Every waiting picture gets a share of the batch, so a group photo blocks nobody. Requests
that can't be served in time are refused immediately; work whose client has gone, or has waited too long, is dropped
before it is computed.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from facewire.server.asker import WAITS_FOREVER, Asker
from facewire.server.errors import Busy, TimedOut

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

DEFAULT_CAPACITY = 256  # faces ahead of a request: about four seconds of work on two cores
_FIRST_GUESS_MS = 20.0  # per face on two AVX2 cores, until the first batch was timed
_NEWEST = 0.3  # weight of the newest batch in the moving average of time per face: averages a few batches


@dataclass(slots=True, eq=False)
class _Job(Generic[Item, Outcome]):
    """The faces of one picture. `outcomes` fills in order; the future completes when it is full."""

    items: Sequence[Item]
    asker: Asker
    future: Future[list[Outcome]]
    taken: int = 0
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def left(self) -> int:
        return len(self.items) - self.taken


class Batcher(Generic[Item, Outcome]):
    """`compute` maps up to `largest` items to one outcome each; only the batcher's own thread calls it."""

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

    def run(self, items: Sequence[Item], abandoned: Asker = WAITS_FOREVER) -> list[Outcome]:
        """Waits for the outcomes of `items`, in order, for as long as `abandoned` allows.

        Raises Busy immediately if the wait would be too long or too many faces are ahead, TimedOut if the wait was too
        long. An empty queue accepts any job, however many faces its picture has.
        """
        if not items:
            return []
        job: _Job[Item, Outcome] = _Job(items, abandoned, Future())
        with self._changed:
            if self._closed:
                raise Busy("the server is stopping", retry_after_ms=1000)
            self._refuse_if_too_late(job)
            self._jobs.append(job)
            self._waiting += len(items)
            self._changed.notify()
        return self._outcomes(job)

    def _refuse_if_too_late(self, job: _Job[Item, Outcome]) -> None:
        """Called with the lock held. A large job only counts as many faces ahead of a small one as the small one
        has."""
        ahead = sum(min(other.left, len(job.items)) for other in self._jobs)
        wait_s = ahead * self._item_ms / 1000
        if ahead >= self._capacity or wait_s > job.asker.left():
            raise Busy("too many faces are waiting", retry_after_ms=max(1, round(wait_s * 1000)))

    def _outcomes(self, job: _Job[Item, Outcome]) -> list[Outcome]:
        while True:
            left = job.asker.left()
            try:
                return job.future.result(None if left == math.inf else min(max(0.0, left), threading.TIMEOUT_MAX))
            except TimeoutError:
                if job.future.done():
                    return job.future.result()  # it just completed, or the network itself raised TimeoutError
            with self._changed:
                # The deadline may have moved: it does when a batch with this job starts. If that deadline has passed
                # too, the network hangs, and the waiting thread must not hang with it.
                if job.asker() and not job.future.done():
                    self._drop(job, TimedOut(_TOO_LATE))

    @property
    def waiting(self) -> int:
        """The number of faces in the queue."""
        return self._waiting

    @property
    def running(self) -> bool:
        """False once `close` has been called."""
        return not self._closed

    def close(self) -> None:
        """Refuses queued jobs, finishes the current batch and ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            if batch:
                self._finish(batch)
            del batch  # before the wait for the next: its askers hold their requests, and those their pictures

    def _next_batch(self) -> list[tuple[_Job[Item, Outcome], Item]] | None:
        """Up to `largest` faces: first an equal share from every job, in order of arrival, then more until the batch is
        full; None once closed. Jobs that were served move to the end of the queue."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            if self._closed:
                for job in self._jobs:
                    job.future.set_exception(Busy("the server is stopping", retry_after_ms=1000))
                self._jobs.clear()
                return None
            for job in [job for job in self._jobs if job.asker()]:
                self._drop(job, TimedOut(_TOO_LATE))
            batch: list[tuple[_Job[Item, Outcome], Item]] = []
            share = max(1, self._largest // max(1, len(self._jobs)))
            for most in (share, self._largest):
                for job in list(self._jobs):
                    self._take_from(job, min(most, self._largest - len(batch)), batch)
            served = {id(job) for job, _ in batch}
            self._jobs = deque(sorted(self._jobs, key=lambda job: id(job) in served))  # stable: else by arrival
            return batch

    def _take_from(self, job: _Job[Item, Outcome], most: int, batch: list[tuple[_Job[Item, Outcome], Item]]) -> None:
        """Moves up to `most` of a job's faces into the batch. Called with the lock held."""
        count = min(most, job.left)
        batch.extend((job, item) for item in job.items[job.taken : job.taken + count])
        job.taken += count
        self._waiting -= count
        if not job.left:
            self._jobs.remove(job)

    def _drop(self, job: _Job[Item, Outcome], reason: Exception) -> None:
        """Called with the lock held."""
        if job in self._jobs:
            self._jobs.remove(job)
            self._waiting -= job.left
        job.future.set_exception(reason)

    def _finish(self, batch: list[tuple[_Job[Item, Outcome], Item]]) -> None:
        for job in _jobs_of(batch):
            job.asker.proceeds()
        begun = self._clock()
        try:
            outcomes = self._compute([item for _, item in batch])
            if len(outcomes) != len(batch):
                raise RuntimeError(f"{len(batch)} faces have {len(outcomes)} outcomes")
        except Exception as error:  # noqa: BLE001 - a network's bug must reach the waiting callers, not end the thread
            with self._changed:
                for job in _jobs_of(batch):
                    if not job.future.done():
                        self._drop(job, error)
            return
        took_ms = (self._clock() - begun) * 1000 / len(batch)
        with self._changed:
            self._item_ms += _NEWEST * (took_ms - self._item_ms)
            for (job, _), outcome in zip(batch, outcomes, strict=True):
                job.outcomes.append(outcome)
                if len(job.outcomes) == len(job.items) and not job.future.done():
                    job.future.set_result(job.outcomes)
        for job in _jobs_of(batch):
            if len(job.outcomes) < len(job.items):
                job.asker.progress(len(job.outcomes), len(job.items))


def _jobs_of(batch: Sequence[tuple[_Job[Item, Outcome], Item]]) -> list[_Job[Item, Outcome]]:
    """Every job with faces in the batch, once."""
    return list({id(job): job for job, _ in batch}.values())


_TOO_LATE = "the server was too busy to do this in time"
