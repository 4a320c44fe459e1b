"""`Judge`: matches faces against the current gallery, and provides thresholds to albums."""

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
    """The decision about a probe. `matches`: the nearest people; `threshold`: the similarity that the nearest needs."""

    matches: tuple[Match, ...]
    verdict: Verdict
    threshold: float


class Judge:
    """Compares faces and decides. Thread-safe."""

    def __init__(self, gallery: Gallery, decider: Decider, calibration: Calibration) -> None:
        """`calibration`: of this gallery. Raises ValueError if only one of `gallery` and `decider` uses a cohort."""
        if decider.normalised != (gallery.cohort is not None):
            raise ValueError("the decider and the gallery must both have a cohort, or neither")
        self._gallery = gallery
        self._decider = decider
        self._calibration = calibration

    @property
    def error_rate(self) -> float:
        """The false positive identification rate: the probability that a stranger is taken for somebody."""
        return self._decider.fpir

    @property
    def offset(self) -> float:
        """How much closer this gallery's people come than the prior expects, normalised (see Calibration)."""
        return self._calibration.offset()

    def threshold(self) -> float:
        """The normalised similarity at which `identify` calls a face a match."""
        return self._decider.threshold(self._calibration.effective_size(), self.offset)

    def decide(self, embedding: Floats, k: int) -> Decided:
        """Who in the gallery is this? `embedding`: a probe's, (d,). Looks up at least `k` people, if there are so
        many."""
        # At least two, because the second person decides between `match` and `ambiguous`.
        matches = self._gallery.search(embedding, max(k, 2))
        relative = [match.normalised for match in matches]
        verdict = self._decider.decide(relative, self._calibration.effective_size(), self.offset)
        return Decided(matches, verdict, similarity_for(verdict.threshold, matches[0].scale if matches else 1.0))

    def named(self, embedding: Floats) -> tuple[Match, float] | None:
        """The person that `identify` would name and the threshold; None if it would name nobody."""
        decided = self.decide(embedding, 2)
        return (decided.matches[0], decided.threshold) if decided.verdict.decision == "match" else None

    def compare(self, one: Floats, other: Floats, fmr: float | None = None) -> Verified:
        """Are these two embeddings, (d,) of unit length, of the same person? `fmr`: the decider's by default."""
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

    # The rest is for albums, whose people are not in the gallery.

    def similarities(
        self, probes: NDArray[np.float32], templates: NDArray[np.float32], statistics: Statistics | None
    ) -> NDArray[np.float32]:
        """(m, d) and (n, d), unit rows -> (m, n), normalised if there is a cohort; `statistics`: cohort statistics of
        the templates."""
        cohort = self._gallery.cohort
        if cohort is None or statistics is None:
            return np.asarray(probes @ templates.T, np.float32)
        return normalised_matrix(probes, templates, cohort.scales(probes), local_scales(statistics))

    def threshold_among(self, people: int) -> float:
        """The similarity that a stranger's best match among this many people exceeds with probability `error_rate`, on
        the scale of `similarities`."""
        return self._decider.threshold(people)

    def strangers_exceed(self, rate: float) -> float:
        """The similarity that pairs of different people exceed at this rate, on the scale of `similarities`. Measured,
        or derived from a published threshold, which is stricter."""
        return self._decider.prior.similarity_at(rate)
