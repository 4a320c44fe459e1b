"""A bounded pool of threads: so many compute, so many wait, and one more is told so at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Job:
    run: Callable[[], None]
    refuse: Callable[[], None]


class Workers:
    """Runs jobs in the order they came; what `stop` finds waiting is refused instead."""

    def __init__(self, threads: int, queue: int) -> None:
        self._capacity = queue
        self._changed = threading.Condition()  # guards the three below
        self._waiting: deque[_Job] = deque()
        self._idle = 0
        self._stopping = False
        # Daemons: a native computation that never returns must not keep the process from ending.
        self._threads = [
            threading.Thread(target=self._work, name=f"facewire-worker-{n}", daemon=True) for n in range(threads)
        ]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, run: Callable[[], None], refuse: Callable[[], None]) -> bool:
        """Queues `run`, which must not raise; False when the queue is full or the pool stops. Never blocks.

        `refuse` is called instead, in the thread of `stop`, when that came first.
        """
        with self._changed:
            # An idle worker has yet to wake and take its job: a queue of 0 still feeds every idle thread.
            if self._stopping or len(self._waiting) >= self._capacity + self._idle:
                return False
            self._waiting.append(_Job(run, refuse))
            self._changed.notify()
            return True

    def stop(self) -> None:
        """Refuses what waits and lets what runs finish; returns at once. Harmless when repeated."""
        with self._changed:
            self._stopping = True
            refused = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for job in refused:
            job.refuse()

    def join(self, until: float) -> bool:
        """Waits for the threads' end, no longer than `until` (time.monotonic); have all ended?"""
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (job := self._take()) is not None:
            job.run()

    def _take(self) -> _Job | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            self._idle -= 1
            return self._waiting.popleft() if self._waiting else None
