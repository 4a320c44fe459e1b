"""Predicts how long a request will wait, from how long earlier ones took, and tells refused clients when to retry."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

_FIRST_GUESS_S = 0.03  # a photograph on two cores; used for a kind of work not seen yet
_NEWEST = 0.2  # weight of the latest in the running mean, which so remembers about ten requests
_SURPRISE = 5  # times the mean: one picture of 100 megapixels among small ones counts as no more
_LONGEST_PROMISE_S = 30.0  # upper bound of the delay caused by clients refused earlier
_HELD_S = 5.0  # a promise holds this long after its time, to allow for a client's delays on a poor line


@dataclass(frozen=True, slots=True)
class _Promise:
    """Made to a refused client: the kind of its work, and when to retry."""

    kind: str
    at: float


class Forecast:
    """Learns the cost of every kind of work, in seconds of the whole machine. Not thread-safe.

    Concurrent jobs share the cores, so a job's cost is its running time divided by how many ran. A job alone on a
    machine of two cores costs half its time, because another could have run beside it.
    """

    def __init__(self, cores: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`cores`: how many jobs can truly run in parallel."""
        self._cores = cores
        self._clock = clock
        self._cost_s: dict[str, float] = {}
        self._running: dict[Hashable, tuple[str, float, int]] = {}  # kind, start time, how many ran then
        self._promises: dict[Hashable, _Promise] = {}  # by owner

    def began(self, job: Hashable, kind: str) -> None:
        """A worker has started the job."""
        self._running[job] = kind, self._clock(), len(self._running) + 1

    def ended(self, job: Hashable) -> None:
        """The job is done."""
        among = len(self._running)
        kind, begun, among_then = self._running.pop(job)
        cost = (self._clock() - begun) / max(self._cores, (among + among_then) / 2)
        before = self._cost_s.get(kind, cost)
        believed = min(cost, max(_SURPRISE * before, _FIRST_GUESS_S))
        self._cost_s[kind] = before + _NEWEST * (believed - before)

    def wait_s(self, ahead: Iterable[str]) -> float:
        """Seconds a job waits if every worker is busy and these kinds of work are queued ahead of it."""
        cost = self._costs_now()
        running = sum(cost.get(kind, _FIRST_GUESS_S) for kind, _, _ in self._running.values()) / 2
        return running + self.cost_s(ahead)

    def cost_s(self, kinds: Iterable[str]) -> float:
        """Total seconds of these kinds of work; repeated kinds count each time."""
        cost = self._costs_now()
        return sum(cost.get(kind, _FIRST_GUESS_S) for kind in kinds)

    def next_turn_s(self, owner: Hashable, kind: str, from_now_s: float) -> float:
        """Seconds after which a refused owner should retry: at least `from_now_s`, and after everybody refused earlier
        who has yet to come back.

        An owner that retries too early is told the same time again, and does not delay the others.
        """
        now = self._clock()
        self._promises = {one: promise for one, promise in self._promises.items() if promise.at + _HELD_S > now}
        promise = self._promises.get(owner)
        if promise is None or promise.at <= now:
            self._promises.pop(owner, None)
            to_come = [other.kind for other in self._promises.values() if other.at > now]
            wait_s = from_now_s + sum(self._cost_s.get(each, 0.0) for each in [*to_come, kind])
            promise = self._promises[owner] = _Promise(kind, now + min(wait_s, max(from_now_s, _LONGEST_PROMISE_S)))
        return promise.at - now

    def is_due(self, owner: Hashable) -> bool:
        """Was the owner refused, and is it retrying when it was told to?"""
        promise, now = self._promises.get(owner), self._clock()
        return promise is not None and promise.at <= now < promise.at + _HELD_S

    def forget(self, owner: Hashable) -> None:
        """Drops the promise to an owner that has been served or has disconnected."""
        self._promises.pop(owner, None)

    def _costs_now(self) -> dict[str, float]:
        """The mean costs, raised where a running job has already taken longer."""
        now, among = self._clock(), max(self._cores, len(self._running))
        costs = dict(self._cost_s)
        for kind, begun, _ in self._running.values():
            costs[kind] = max(costs.get(kind, _FIRST_GUESS_S), (now - begun) / among)
        return costs
