"""The learning rate schedule."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """The learning rate over (fractional) epochs: a linear warm-up, then half a cosine down to zero."""

    peak: float
    warmup: float
    epochs: int

    def rate_at(self, epoch: float) -> float:
        """The learning rate after this many epochs."""
        if epoch < self.warmup:
            return self.peak * epoch / self.warmup
        return self.peak * half_cosine((epoch - self.warmup) / max(self.epochs - self.warmup, 1))


def half_cosine(part: float) -> float:
    """1 at 0, 0 at 1."""
    return (1 + math.cos(math.pi * min(part, 1.0))) / 2
