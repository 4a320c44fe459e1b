"""Match, unknown or ambiguous: how near is near enough, for this model, this gallery size and this error rate.

There is no constant threshold. A stranger is compared with everybody enrolled, so the more people, the nearer the
nearest of them comes by chance: the similarity asked for grows with the gallery, such that a stranger is taken for
somebody with the probability asked for (FPIR).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from protocol.messages import Decision
from server.spec import EmbeddingSpec

# The false match rate of `verify`, which compares two pictures and no gallery: 1 in 1,000, the field's usual yardstick.
VERIFICATION_FMR = 0.001

_STANDARD_NORMAL = NormalDist()
_log = logging.getLogger("facewire.decision")


@dataclass(frozen=True, slots=True)
class ImpostorPrior:
    """How near pictures of two different people come: similarity as a quadratic in the normal deviate of the rate.

    Once in 1/p pairs of different people the similarity exceeds `middle` + `spread` z + `bend` z^2, where z is what a
    standard normal variable exceeds with probability p.
    """

    middle: float
    spread: float
    bend: float

    def similarity_at(self, false_match_rate: float) -> float:
        """The similarity that two different people exceed at this rate."""
        deviate = _STANDARD_NORMAL.inv_cdf(1 - false_match_rate)
        return min(1.0, self.middle + self.spread * deviate + self.bend * deviate**2)

    @property
    def ambiguous_lead(self) -> float:
        """Below this lead over the second person, the first is right less than twice as often as the second.

        On LFW with Facenet512 (2,820 people enrolled, 25,000 probes) that is 0.02, whatever the similarity; other
        models' similarities are spread differently, and their lead with them.
        """
        return 0.02 / 0.2165 * self.spread


# Measured on the LFW half in ../shared, fitted to within 0.004 of similarity. Facenet512: 18.8 million pairs of
# different people, rates from 0.03 to 1e-6; Dlib: 0.6 million pairs, rates from 0.03 to 1e-5.
_MEASURED = {
    "Facenet512": ImpostorPrior(-0.0355, 0.2165, -0.0078),
    "Dlib": ImpostorPrior(0.8429, 0.0305, -0.0012),
}

# The cosine distances that DeepFace publishes as thresholds for the models whose weights we could not measure. They
# are taken for a false match rate of 1 in 1,000, with Facenet512's spread.
_PUBLISHED_DISTANCE = {
    "Facenet": 0.40,
    "VGG-Face": 0.68,
    "OpenFace": 0.10,
    "DeepFace": 0.23,
    "DeepID": 0.015,
    "ArcFace": 0.68,
    "SFace": 0.593,
    "GhostFaceNet": 0.65,
    "Buffalo_L": 0.55,
}


def impostor_prior(model: str) -> ImpostorPrior:
    """The measured prior of a model, else one made from DeepFace's published threshold (said in the log)."""
    if model in _MEASURED:
        return _MEASURED[model]
    _log.warning("error rates of %s are not measured: decisions follow DeepFace's published threshold", model)
    distance = _PUBLISHED_DISTANCE[model]
    # A model whose threshold lies near 1 has similarities crowded there: the spread shrinks with the room left.
    spread = _MEASURED["Facenet512"].spread * min(1.0, distance / 0.44)
    return ImpostorPrior(1 - distance - spread * _STANDARD_NORMAL.inv_cdf(1 - VERIFICATION_FMR), spread, 0.0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision and the similarity it asked for."""

    decision: Decision
    threshold: float


class Decider:
    """Decides at the false positive identification rate `fpir`; immutable."""

    def __init__(self, spec: EmbeddingSpec, fpir: float) -> None:
        self._prior = impostor_prior(spec.model)
        self._fpir = fpir

    @property
    def verification_threshold(self) -> float:
        """The similarity from which two pictures are called the same person's."""
        return self._prior.similarity_at(VERIFICATION_FMR)

    def threshold(self, people: int) -> float:
        """The similarity that a stranger's nearest of `people` enrolled exceeds with probability `fpir`.

        Each comparison must then err with probability 1 - (1 - fpir)^(1/people): comparisons with different people
        are taken as independent, which LFW bears out (asked 1 %, obtained 0.6 to 0.9 % for 12 to 2,000 people).
        """
        each = 1 - (1 - self._fpir) ** (1 / max(1, people))
        return self._prior.similarity_at(each)

    def decide(self, similarities: Sequence[float], people: int) -> Verdict:
        """`similarities`: of the nearest people, best first; the first two are looked at."""
        threshold = self.threshold(people)
        if not similarities or similarities[0] < threshold:
            return Verdict("unknown", threshold)
        second = similarities[1] if len(similarities) > 1 else -1.0
        if second >= threshold and similarities[0] - second < self._prior.ambiguous_lead:
            return Verdict("ambiguous", threshold)
        return Verdict("match", threshold)
