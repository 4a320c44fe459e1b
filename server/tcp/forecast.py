"""How long until a request has its turn, from what those before it took; and when who can't wait should ask again."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

_FIRST_GUESS_S = 0.03  # a photograph on two cores, for a kind of work that has not been seen yet
_NEWEST = 0.2  # the weight of the latest in the running mean: some ten requests' memory
_SURPRISE = 5  # times the mean: one picture of 100 megapixels among small ones counts as no more
_LONGEST_PROMISE_S = 30.0  # nobody is sent away for longer over how many were sent away before
_HELD_S = 5.0  # a promise holds for so long after its time: a client's own delays, on a poor line


@dataclass(frozen=True, slots=True)
class _Promise:
    """To one that was sent away: its work, and when it should ask again."""

    kind: str
    at: float


class Forecast:
    """Learns what every kind of work costs, in seconds of the whole machine; not thread-safe.

    While several run they share the cores, so one costs the machine its time divided by how many ran. A single
    one, on a machine of two cores, costs half of its time: another could have run beside it.
    """

    def __init__(self, cores: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`cores`: how many can really run at a time."""
        self._cores = cores
        self._clock = clock
        self._cost_s: dict[str, float] = {}
        self._running: dict[Hashable, tuple[str, float, int]] = {}  # its kind, when it began, how many ran then
        self._promises: dict[Hashable, _Promise] = {}  # by owner

    def began(self, job: Hashable, kind: str) -> None:
        """A worker has taken it."""
        self._running[job] = kind, self._clock(), len(self._running) + 1

    def ended(self, job: Hashable) -> None:
        """It is done."""
        among = len(self._running)
        kind, begun, among_then = self._running.pop(job)
        cost = (self._clock() - begun) / max(self._cores, (among + among_then) / 2)
        before = self._cost_s.get(kind, cost)
        believed = min(cost, max(_SURPRISE * before, _FIRST_GUESS_S))
        self._cost_s[kind] = before + _NEWEST * (believed - before)

    def wait_s(self, ahead: Iterable[str]) -> float:
        """Until the turn of one that these kinds of work are waiting before, every worker being busy."""
        cost = self._costs_now()
        running = sum(cost.get(kind, _FIRST_GUESS_S) for kind, _, _ in self._running.values()) / 2
        return running + self.cost_s(ahead)

    def cost_s(self, kinds: Iterable[str]) -> float:
        """Of these kinds of work, one of each mention."""
        cost = self._costs_now()
        return sum(cost.get(kind, _FIRST_GUESS_S) for kind in kinds)

    def next_turn_s(self, owner: Hashable, kind: str, from_now_s: float) -> float:
        """When an owner that can't be served should ask again: not before `from_now_s`, and after all others that were
        sent away and are still to come.

        Who asks again without waiting is told the same time again, and doesn't send the others away for longer.
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
        """Was it sent away, and does it ask again when it was told to?"""
        promise, now = self._promises.get(owner), self._clock()
        return promise is not None and promise.at <= now < promise.at + _HELD_S

    def forget(self, owner: Hashable) -> None:
        """It has a turn, or has gone: nothing is promised to it any more."""
        self._promises.pop(owner, None)

    def _costs_now(self) -> dict[str, float]:
        """What is taking longer than the mean shows that the mean is too small."""
        now, among = self._clock(), max(self._cores, len(self._running))
        costs = dict(self._cost_s)
        for kind, begun, _ in self._running.values():
            costs[kind] = max(costs.get(kind, _FIRST_GUESS_S), (now - begun) / among)
        return costs
