"""The learning rate over a run."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Schedule:
    """The learning rate over (fractional) epochs: a linear warm-up, then half a cosine down to zero.

    With `tail_from` the rate falls from what it was at that epoch of the `planned` run to zero at `epochs`: a run cut
    short so loses little.
    """

    peak: float
    warmup: float
    epochs: int
    tail_from: int | None = None
    planned: int = 0

    def done(self, epoch: float) -> float:
        """Part of the run that lies behind, 0..1."""
        return epoch / self.epochs

    def rate_at(self, epoch: float) -> float:
        """The learning rate after so many epochs."""
        if epoch < self.warmup:
            return self.peak * epoch / self.warmup
        if self.tail_from is None:
            return self.peak * half_cosine((epoch - self.warmup) / (self.epochs - self.warmup))
        planned = replace(self, epochs=self.planned, tail_from=None)
        if epoch <= self.tail_from:
            return planned.rate_at(epoch)
        part = (epoch - self.tail_from) / (self.epochs - self.tail_from)
        return planned.rate_at(self.tail_from) * half_cosine(part)


def half_cosine(part: float) -> float:
    """1 at 0, 0 at 1."""
    return (1 + math.cos(math.pi * min(part, 1.0))) / 2
