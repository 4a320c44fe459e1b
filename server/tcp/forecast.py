"""How long until a request has its turn, from what those before it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable

_FIRST_GUESS_S = 0.03  # a photograph on two cores, for a kind of work that has not been seen yet
_NEWEST = 0.2  # the weight of the latest in the running mean: some ten requests' memory
_LONGEST_PROMISE_S = 30.0  # nobody is sent away for longer over how many were sent away before


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
        self._promised: dict[Hashable, float] = {}  # when those who were sent away should come back, the last one last

    def began(self, job: Hashable, kind: str) -> None:
        """A worker has taken it."""
        self._running[job] = kind, self._clock(), len(self._running) + 1

    def ended(self, job: Hashable) -> None:
        """It is done."""
        among = len(self._running)
        kind, begun, among_then = self._running.pop(job)
        cost = (self._clock() - begun) / max(self._cores, (among + among_then) / 2)
        before = self._cost_s.get(kind, cost)
        self._cost_s[kind] = before + _NEWEST * (cost - before)

    def wait_s(self, ahead: Iterable[str]) -> float:
        """Until the turn of one that these kinds of work are waiting before, every worker being busy."""
        cost = self._costs_now()
        running = sum(cost.get(kind, _FIRST_GUESS_S) for kind, _, _ in self._running.values()) / 2
        return running + sum(cost.get(kind, _FIRST_GUESS_S) for kind in ahead)

    def next_turn_s(self, owner: Hashable, kind: str, from_now_s: float) -> float:
        """When an owner that can't be served should come back: not before `from_now_s`, and not all of them together.

        Who asks again without waiting is told the same time again, and doesn't send the others away for longer.
        """
        now = self._clock()
        self._promised = {one: at for one, at in self._promised.items() if at > now}
        if owner not in self._promised:
            last = next(reversed(self._promised.values()), now)
            turn = max(last, now + from_now_s) + self._cost_s.get(kind, 0.0)
            self._promised[owner] = min(turn, now + max(from_now_s, _LONGEST_PROMISE_S))
        return self._promised[owner] - now

    def _costs_now(self) -> dict[str, float]:
        """What is taking longer than the mean shows that the mean is too small."""
        now, among = self._clock(), max(self._cores, len(self._running))
        costs = dict(self._cost_s)
        for kind, begun, _ in self._running.values():
            costs[kind] = max(costs.get(kind, _FIRST_GUESS_S), (now - begun) / among)
        return costs
