"""What recognition lends to the albums: its decisions, and the gallery's names (server/albums/lending.py)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.gallery_messages import Enrol, Enrolled
from facewire.server.comparison import normalised_matrix
from facewire.server.gallery.search.cohort import Cohort, Statistics, local_scales
from facewire.server.recognition.decision import Decider
from facewire.server.recognition.service import RecognitionService


class AlbumJudge:
    """The decider's similarities and thresholds, for an album instead of the gallery."""

    def __init__(self, decider: Decider, error_rate: float, cohort: Cohort | None) -> None:
        self._decider = decider
        self._cohort = cohort
        self.error_rate = error_rate

    def similarities(
        self, probes: NDArray[np.float32], templates: NDArray[np.float32], statistics: Statistics | None
    ) -> NDArray[np.float32]:
        """Cosines, normalised by the cohort where there is one."""
        if self._cohort is None or statistics is None:
            return np.asarray(probes @ templates.T, np.float32)
        return normalised_matrix(probes, templates, self._cohort.scales(probes), local_scales(statistics))

    def threshold(self, people: int) -> float:
        """As `Decider.threshold`."""
        return self._decider.threshold(people)

    def strangers_exceed(self, rate: float) -> float:
        """As the decider's prior says: measured, or made from a published threshold, which asks for more."""
        return self._decider.prior.similarity_at(rate)


@dataclass(frozen=True, slots=True)
class GalleryMatch:
    """An enrolled person whom a face matches."""

    name: str
    similarity: float
    threshold: float


class GalleryRegistry:
    """The gallery with the server's own decision."""

    def __init__(self, service: RecognitionService) -> None:
        self._service = service

    def recognise(self, embedding: NDArray[np.float32]) -> GalleryMatch | None:
        """The person that `identify` would name, or None."""
        matches, verdict, threshold = self._service.judged(embedding, 2)
        if verdict.decision != "match":
            return None
        return GalleryMatch(matches[0].name, matches[0].similarity, threshold)

    def enrol(self, message: Enrol) -> Enrolled:
        """As everybody's pictures are enrolled."""
        return self._service.enrol(message)
