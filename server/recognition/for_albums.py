"""What recognition lends to the albums: its decisions, and the gallery's names (server/albums/lending.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.gallery.gallery import Gallery
from server.gallery.records import NewPicture
from server.recognition.decision import Decider


class AlbumJudge:
    """The decider's similarities and thresholds, for an album instead of the gallery."""

    def __init__(self, decider: Decider, error_rate: float) -> None:
        self._decider = decider
        self.error_rate = error_rate

    def similarities(self, probes: NDArray[np.float32], templates: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines."""
        return np.asarray(probes @ templates.T, np.float32)

    def threshold(self, people: int) -> float:
        """As `Decider.threshold`."""
        return self._decider.threshold(people)


@dataclass(frozen=True, slots=True)
class GalleryMatch:
    """An enrolled person whom a face matches."""

    name: str
    similarity: float
    threshold: float


class GalleryRegistry:
    """The gallery with the server's own decision."""

    def __init__(self, gallery: Gallery, decider: Decider) -> None:
        self._gallery = gallery
        self._decider = decider

    def recognise(self, embedding: NDArray[np.float32]) -> GalleryMatch | None:
        """The person that `identify` would name, or None."""
        matches = self._gallery.search(embedding, 2)
        similarities = [match.similarity for match in matches]
        verdict = self._decider.decide(similarities, self._gallery.counts().people)
        if verdict.decision != "match":
            return None
        return GalleryMatch(matches[0].name, matches[0].similarity, verdict.threshold)

    def enrol(self, name: str, pictures: Sequence[NewPicture]) -> int:
        """Adds templates; how many the person has now."""
        return self._gallery.enrol(name, pictures).person.templates
