"""The learning rate and the size of the views over a run of one or more cycles."""

import math
from dataclasses import dataclass

SERVED_SIZE = 40
"""Pixels a side of the served view."""


@dataclass(frozen=True)
class Cycle:
    """`epochs` from a rate of `peak` down to zero, after a linear warm-up.

    `phases` are (part of the cycle done, pixels a side): small views first, since early epochs learn as much from 28 px
    at half the cost (progressive resizing, Tan & Le 2021). A cycle must end at the size the network is served at:
    trained at 32 px it scored 0.48 there and 0.18 at 44.
    """

    epochs: int
    peak: float
    phases: tuple[tuple[float, int], ...]
    warmup: float = 1.0


CYCLES = (
    Cycle(epochs=64, peak=0.06, phases=((0.0, 28), (0.3, 34), (0.55, SERVED_SIZE))),
    Cycle(epochs=26, peak=0.03, phases=((0.0, 34), (0.25, SERVED_SIZE))),
)
"""A second, gentler cycle from where the first ended (SGDR, Loshchilov & Hutter 2017)."""


@dataclass(frozen=True)
class Schedule:
    """Cycles one after the other, counted in (fractional) epochs from the start of the run."""

    cycles: tuple[Cycle, ...]

    @property
    def epochs(self) -> int:
        """Of all cycles."""
        return sum(cycle.epochs for cycle in self.cycles)

    def place(self, epoch: float) -> tuple[Cycle, int, float]:
        """The cycle that `epoch` falls into, that cycle's number from 0, and how much of it is done (0..1)."""
        for number, cycle in enumerate(self.cycles):
            if epoch < cycle.epochs or number == len(self.cycles) - 1:
                return cycle, number, min(epoch / cycle.epochs, 1.0)
            epoch -= cycle.epochs
        raise ValueError("a schedule needs at least one cycle")

    def rate_at(self, epoch: float) -> float:
        """The learning rate after so many epochs."""
        cycle, _, done = self.place(epoch)
        into = done * cycle.epochs
        if into < cycle.warmup:
            return cycle.peak * into / cycle.warmup
        return cycle.peak * half_cosine((into - cycle.warmup) / (cycle.epochs - cycle.warmup))


def half_cosine(part: float) -> float:
    """1 at 0, 0 at 1."""
    return (1 + math.cos(math.pi * min(part, 1.0))) / 2
