"""What albums need of the other rooms, as narrow as it can be: a judge of similarities, and the gallery."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.gallery_messages import Enrol, Enrolled
from facewire.server.gallery.search.cohort import Statistics


class Judge(Protocol):
    """How near is near enough."""

    @property
    def error_rate(self) -> float:
        """How often somebody who is not in an album is taken for somebody who is."""
        ...

    def similarities(
        self, probes: NDArray[np.float32], templates: NDArray[np.float32], statistics: Statistics | None
    ) -> NDArray[np.float32]:
        """(m, d) and (n, d) of unit length -> (m, n), on the scale of `threshold`; `statistics`: of the templates."""
        ...

    def threshold(self, people: int) -> float:
        """The similarity that a stranger's nearest of so many people exceeds with probability `error_rate`."""
        ...

    def strangers_exceed(self, rate: float) -> float:
        """The similarity that two different people exceed at this rate, on the scale of `threshold`."""
        ...


class Recognised(Protocol):
    """An enrolled person whom a face matches, and the similarity that a match needs."""

    @property
    def name(self) -> str: ...
    @property
    def similarity(self) -> float: ...
    @property
    def threshold(self) -> float: ...


class Registry(Protocol):
    """The gallery, as albums see it."""

    def recognise(self, embedding: NDArray[np.float32]) -> Recognised | None:
        """Who this is, if somebody enrolled."""
        ...

    def enrol(self, message: Enrol) -> Enrolled:
        """Adds pictures to a person, who is added where unknown, as far as they are good enough."""
        ...
