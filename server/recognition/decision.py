"""Match, unknown or ambiguous: decides by thresholds for this model, this gallery and this error rate.

There is no constant threshold. A stranger is compared with everybody enrolled, so the more people there are, the closer
the nearest comes by chance. The threshold therefore grows with the gallery, to keep the false positive identification
rate (FPIR) at its target. The similarity of different people is measured on the gallery itself (calibration.py),
starting from a prior (impostors.py). All similarities here are on the prior's scale: normalised by the cohort if there
is one, otherwise raw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.messages import Candidate, Decision, Verified
from facewire.server.comparison import distance, nearness, normalised, normalised_matrix, similarity_for
from facewire.server.errors import UnknownTemplate
from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.records import Match, PersonRecord
from facewire.server.gallery.search.cohort import Statistics, local_scales
from facewire.server.gallery.search.means import mean_nearness
from facewire.server.measures import NOT_MEASURED, Measures
from facewire.server.recognition.calibration import SEVERAL, Calibration
from facewire.server.recognition.impostors import DEFAULT_FMR, nearest_of, priors
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision.runtime import Floats


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

    def verification_threshold(self, fmr: float | None = None, comparisons: float = 1.0) -> float:
        """The similarity at which two pictures count as the same person: pairs of different people at large exceed it
        at the rate `fmr`. `comparisons`: with so many templates of one of them, of which the closest counts."""
        return nearest_of(self._priors.at_large.similarity_at, comparisons, self.fmr if fmr is None else fmr)

    def false_match_at_large(self, similarity: float, comparisons: float = 1.0) -> float:
        """The rate at which two different people at large are at least this similar."""
        return _any_of(comparisons, self._priors.at_large.rate_at(similarity))

    def false_match_alike(self, similarity: float, comparisons: float = 1.0) -> float:
        """The rate at which two different people of the same sex, age and appearance are at least this similar."""
        return _any_of(comparisons, self._priors.alike.rate_at(similarity))

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
        return _any_of(people, self.prior.rate_at(similarity - offset))

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


def _any_of(comparisons: float, rate: float) -> float:
    """The probability that any of so many independent comparisons succeeds: inverts `nearest_of`."""
    return -math.expm1(max(1, comparisons) * math.log1p(-min(rate, 1 - 1e-12)))


@dataclass(frozen=True, slots=True)
class Decided:
    """The decision about a probe. `matches`: the nearest people; `threshold`: the similarity that the nearest needs."""

    matches: tuple[Match, ...]
    verdict: Verdict
    threshold: float

    def candidates(self, k: int) -> tuple[Candidate, ...]:
        """The nearest `k` people at most, on the wire."""
        return tuple(
            Candidate(one.name, one.similarity, one.distance, one.image, self._comparable(one))
            for one in self.matches[:k]
        )

    def _comparable(self, match: Match) -> float:
        """The nearest one's is its similarity to the bit, which rounding must not change."""
        nearest = self.matches[0]
        return match.similarity if match is nearest else similarity_for(match.normalised, nearest.scale)


@dataclass(frozen=True, slots=True)
class Compared:
    """A probe compared with one person; as `PersonVerified`."""

    templates: int
    similarity: float
    threshold: float
    false_match: float
    false_match_at_large: float
    fmr: float


class Judge:
    """Compares faces and decides. Thread-safe."""

    def __init__(
        self, gallery: Gallery, decider: Decider, calibration: Calibration, measures: Measures = NOT_MEASURED
    ) -> None:
        """`calibration`: of this gallery. Raises ValueError if only one of `gallery` and `decider` uses a cohort."""
        if decider.normalised != (gallery.cohort is not None):
            raise ValueError("the decider and the gallery must both have a cohort, or neither")
        self._gallery = gallery
        self._decider = decider
        self._calibration = calibration
        self._measures = measures

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
        return self.decide_all([embedding], k)[0]

    def decide_all(self, embeddings: Sequence[Floats], k: int) -> list[Decided]:
        """The same for each of several probes, in one search."""
        if not embeddings:
            return []
        # At least two, because the second person decides between `match` and `ambiguous`.
        with self._measures.timing("search"):
            found = self._gallery.search_all(np.stack(embeddings), max(k, 2))
        return [self._decided(matches) for matches in found]

    def _decided(self, matches: tuple[Match, ...]) -> Decided:
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

    def compare_with(self, person: PersonRecord, probe: Floats, fmr: float | None = None) -> Compared:
        """Is this embedding, (d,) of unit length, of this person? By their closest template or the mean of them all, as
        in a search. Raises UnknownTemplate if there is none to compare with."""
        templates = self._gallery.templates_of(person.name)
        count = len(templates.embeddings)
        if not count:
            raise UnknownTemplate(f"nothing of {person.name} is enrolled to compare with")
        similarities: NDArray[np.float64] = (templates.embeddings @ probe).astype(np.float64)
        scales: NDArray[np.float64] = templates.scales.astype(np.float64)
        near = nearness(similarities, scales)
        best = int(near.argmax())
        similarity, scale = float(similarities[best]), float(scales[best])
        mean = mean_nearness(templates.embeddings, templates.scales, [np.arange(count)], probe)
        if mean.nearness[0] > near[best]:
            similarity, scale = float(mean.similarity[0]), float(mean.scale[0])
        scale *= float(self._gallery.scales(probe[None])[0])
        comparisons = count**SEVERAL
        relative = normalised(similarity, scale)
        return Compared(
            templates=count,
            similarity=similarity,
            threshold=similarity_for(self._decider.verification_threshold(fmr, comparisons), scale),
            false_match=self._decider.false_match_alike(relative, comparisons),
            false_match_at_large=self._decider.false_match_at_large(relative, comparisons),
            fmr=self._decider.fmr if fmr is None else fmr,
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
