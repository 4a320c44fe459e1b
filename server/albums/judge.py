"""The interface of recognition that albums use, as they may not import it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facewire.server.gallery.records import Match
from facewire.server.gallery.search.cohort import Statistics


class Judge(Protocol):
    """Implemented by `recognition.decision.Judge`."""

    @property
    def error_rate(self) -> float:
        """The probability that somebody who is not in an album is taken for somebody who is."""
        ...

    def similarities(
        self, probes: NDArray[np.float32], templates: NDArray[np.float32], statistics: Statistics | None
    ) -> NDArray[np.float32]:
        """(m, d) and (n, d), unit rows -> (m, n), on the scale of `threshold_among`; `statistics`: of the templates."""
        ...

    def threshold_among(self, people: int) -> float:
        """The similarity that a stranger's best match among this many people exceeds with probability `error_rate`."""
        ...

    def strangers_exceed(self, rate: float) -> float:
        """The similarity that pairs of different people exceed at this rate, on the scale of `threshold_among`."""
        ...

    def named(self, embedding: NDArray[np.float32]) -> tuple[Match, float] | None:
        """The enrolled person that `identify` would name and the threshold; None if it would name nobody."""
        ...
