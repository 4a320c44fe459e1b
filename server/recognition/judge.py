"""`Judge`: who is near enough, in this gallery as it is now, and among the people of an album."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.messages import Verified
from facewire.server.comparison import distance, normalised, normalised_matrix, similarity_for
from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.records import Match
from facewire.server.gallery.search.cohort import Statistics, local_scales
from facewire.server.recognition.calibration import Calibration
from facewire.server.recognition.decision import Decider, Verdict
from facewire.server.vision.runtime import Floats


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided about a probe. `matches`: the nearest people; `threshold`: the similarity that the nearest
    needs for a match."""

    matches: tuple[Match, ...]
    verdict: Verdict
    threshold: float


class Judge:
    """Compares faces and decides. Thread-safe."""

    def __init__(self, gallery: Gallery, decider: Decider, calibration: Calibration) -> None:
        """`calibration`: of this gallery. Raises ValueError if only one of gallery and decider has a cohort."""
        if decider.normalised != (gallery.cohort is not None):
            raise ValueError("the decider and the gallery must both have a cohort, or neither")
        self._gallery = gallery
        self._decider = decider
        self._calibration = calibration

    @property
    def error_rate(self) -> float:
        """How often a stranger is taken for somebody: the false positive identification rate."""
        return self._decider.fpir

    @property
    def offset(self) -> float:
        """How much closer than the prior expects this gallery's people come, normalised (see Calibration)."""
        return self._calibration.offset()

    def threshold(self) -> float:
        """The normalised similarity from which on `identify` calls a face a match."""
        return self._decider.threshold(self._calibration.effective_size(), self.offset)

    def decide(self, embedding: Floats, k: int) -> Decided:
        """Who in the gallery is this? `embedding`: a probe's, (d,); at least `k` people are looked up, if there are so
        many."""
        # Two at least: whether the second person is as likely decides between `match` and `ambiguous`.
        matches = self._gallery.search(embedding, max(k, 2))
        relative = [match.normalised for match in matches]
        verdict = self._decider.decide(relative, self._calibration.effective_size(), self.offset)
        return Decided(matches, verdict, similarity_for(verdict.threshold, matches[0].scale if matches else 1.0))

    def named(self, embedding: Floats) -> tuple[Match, float] | None:
        """The person that `identify` would name, and the similarity that this needs; None for nobody."""
        decided = self.decide(embedding, 2)
        return (decided.matches[0], decided.threshold) if decided.verdict.decision == "match" else None

    def compare(self, one: Floats, other: Floats, fmr: float | None = None) -> Verified:
        """Are these two embeddings, (d,) of unit length, one person's? `fmr`: by default the decider's own."""
        similarity = float(np.dot(one.astype(np.float64), other.astype(np.float64)))
        scale = float(np.prod(self._gallery.scales(np.stack([one, other]))))
        threshold = similarity_for(self._decider.verification_threshold(fmr), scale)
        relative = normalised(similarity, scale)
        return Verified(
            same=similarity >= threshold,
            similarity=similarity,
            distance=distance(similarity),
            threshold=threshold,
            margin=similarity - threshold,
            false_match=self._decider.false_match_alike(relative),
            model=self._gallery.spec.model,
            fmr=self._decider.fmr if fmr is None else fmr,
            false_match_at_large=self._decider.false_match_at_large(relative),
        )

    # What follows is for albums, whose people are not the gallery's.

    def similarities(
        self, probes: NDArray[np.float32], templates: NDArray[np.float32], statistics: Statistics | None
    ) -> NDArray[np.float32]:
        """(m, d) and (n, d) of unit length -> (m, n), normalised by the cohort where there is one; `statistics`: the
        cohort's, of the templates."""
        cohort = self._gallery.cohort
        if cohort is None or statistics is None:
            return np.asarray(probes @ templates.T, np.float32)
        return normalised_matrix(probes, templates, cohort.scales(probes), local_scales(statistics))

    def threshold_among(self, people: int) -> float:
        """What a stranger's nearest of so many people exceeds with probability `error_rate`, on that scale."""
        return self._decider.threshold(people)

    def strangers_exceed(self, rate: float) -> float:
        """What two different people's similarity exceeds at this rate, on that scale. Measured, or derived from a
        published threshold, which asks for more."""
        return self._decider.prior.similarity_at(rate)
