"""Match, unknown or ambiguous: decides by thresholds for this model, this gallery and this error rate.

There is no constant threshold. A stranger is compared with everybody enrolled, so the more people there are, the closer
the nearest comes by chance. The threshold therefore grows with the gallery, to keep the false positive identification
rate (FPIR) at its target. The similarity of different people is measured on the gallery itself (calibration.py),
starting from a prior (impostors.py). All similarities here are on the prior's scale: normalised by the cohort if there
is one, otherwise raw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from facewire.protocol.messages import Decision
from facewire.server.recognition.impostors import DEFAULT_FMR, priors
from facewire.server.spec import EmbeddingSpec


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision, the threshold of a match, and the probability that a stranger's best candidate is at least as
    similar as this one (None without a candidate)."""

    decision: Decision
    threshold: float
    false_match: float | None


class Decider:
    """Identifies at the false positive identification rate `fpir`; verifies at the false match rate `fmr` by default.
    Immutable."""

    def __init__(self, spec: EmbeddingSpec, fpir: float, *, fmr: float = DEFAULT_FMR, normalised: bool = False) -> None:
        """`normalised`: the similarities are normalised by the gallery's cohort."""
        self.normalised = normalised
        self.fmr = fmr
        self._priors = priors(spec.model, normalised=normalised)
        self.prior = self._priors.enrolled
        self.fpir = fpir

    def verification_threshold(self, fmr: float | None = None) -> float:
        """The similarity at which two pictures count as the same person: pairs of different people at large exceed it
        at the rate `fmr`."""
        return self._priors.at_large.similarity_at(self.fmr if fmr is None else fmr)

    def false_match_at_large(self, similarity: float) -> float:
        """The rate at which two different people at large are at least this similar."""
        return self._priors.at_large.rate_at(similarity)

    def false_match_alike(self, similarity: float) -> float:
        """The rate at which two different people of the same sex, age and appearance are at least this similar."""
        return self._priors.alike.rate_at(similarity)

    def threshold(self, people: float, offset: float = 0.0) -> float:
        """The similarity that a stranger's best match among `people` enrolled exceeds with probability `fpir`.

        `people`: the gallery's effective size; people with several templates count for more than one
        (see `calibration.effective_size`). `offset`: how much closer this gallery's people come than the prior expects
        (see Calibration). Comparisons with different people are assumed to be independent, so each must err with
        probability 1 - (1 - fpir)^(1/people).
        """
        return nearest_of(self.prior.similarity_at, people, self.fpir) + offset

    def false_match(self, similarity: float, people: float, offset: float = 0.0) -> float:
        """The probability that a stranger's best match among `people` enrolled is this similar: inverts `threshold`."""
        return -math.expm1(max(1, people) * math.log1p(-min(self.prior.rate_at(similarity - offset), 1 - 1e-12)))

    def decide(self, similarities: Sequence[float], people: float, offset: float = 0.0) -> Verdict:
        """Decides from the similarities of the nearest people, best first; only the first two matter."""
        threshold = self.threshold(people, offset)
        if not similarities:
            return Verdict("unknown", threshold, None)
        false_match = self.false_match(similarities[0], people, offset)
        second = similarities[1] if len(similarities) > 1 else -math.inf
        if similarities[0] < threshold:
            return Verdict("unknown", threshold, false_match)
        if second >= threshold and similarities[0] - second < self.prior.ambiguous_lead:
            return Verdict("ambiguous", threshold, false_match)
        return Verdict("match", threshold, false_match)


def nearest_of(similarity_at: Callable[[float], float], people: float, probability: float) -> float:
    """The similarity that the best of `people` exceeds with this probability, if each exceeds `similarity_at(rate)`
    at that rate."""
    return similarity_at(-math.expm1(math.log1p(-probability) / max(1, people)))
