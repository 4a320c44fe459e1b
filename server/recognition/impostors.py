"""Measured similarities of different people: the priors that thresholds start from.

A prior describes normalised similarities (`Match.normalised`), for a model with a cohort, or raw ones.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

DEFAULT_FMR = 0.001
"""The false match rate of `verify`, which compares two pictures without a gallery: 1 in 1,000, a common benchmark."""

LIKEWISE = 0.208
"""How much higher the normalised similarity of two people of the same sex, age and appearance is than that of any two
in LFW. Measured within FairFace's groups on people not in the cohort's training data, at 0.6 of the target rate,
because other data sets showed higher rates than FairFace (docs/decisions/0010): `alike` of `evaluate.py strangers`,
0.317, less the table below at 1 in 1,000."""

RAW_LIKEWISE = 1.0
"""The same for raw similarities, in units of the prior's spread: Facenet512's pairs within FairFace's groups lie 0.19
to 0.24 above LFW's at rates from 0.1 to 0.001, and its spread is 0.2165. Other models are assumed to behave alike."""

_STANDARD_NORMAL = NormalDist()
_log = logging.getLogger("facewire.decision")


class Prior(Protocol):
    """The distribution of similarities of different people. `ambiguous_lead`: a smaller lead over the second person is
    inconclusive."""

    @property
    def ambiguous_lead(self) -> float: ...

    def similarity_at(self, rate: float) -> float:
        """The similarity that pairs of different people exceed at this rate."""

    def rate_at(self, similarity: float) -> float:
        """The rate at which pairs of different people are at least this similar."""


@dataclass(frozen=True, slots=True)
class QuadraticPrior:
    """A quadratic in the normal deviate of the rate: for raw similarities.

    With probability p the similarity of different people exceeds `middle` + `spread` z + `bend` z^2, where z is what a
    standard normal variable exceeds with probability p.
    """

    middle: float
    spread: float
    bend: float

    def similarity_at(self, rate: float) -> float:
        """See `Prior`."""
        deviate = _STANDARD_NORMAL.inv_cdf(1 - rate)
        return min(1.0, self.middle + self.spread * deviate + self.bend * deviate**2)

    def rate_at(self, similarity: float) -> float:
        """See `Prior`. Inverts the rising branch of the parabola."""
        above = similarity - self.middle
        if not self.bend:
            return _STANDARD_NORMAL.cdf(-above / self.spread)
        inside = self.spread**2 + 4 * self.bend * above
        if inside <= 0:  # beyond the vertex of the parabola
            return 0.0
        return _STANDARD_NORMAL.cdf(-(math.sqrt(inside) - self.spread) / (2 * self.bend))

    def shifted(self, by: float) -> QuadraticPrior:
        """The same with every similarity raised by this."""
        return replace(self, middle=self.middle + by)

    @property
    def ambiguous_lead(self) -> float:
        """Below this lead over the second person, the first is correct less than twice as often as the second.

        On LFW with Facenet512 (2,820 people enrolled, 25,000 probes) that is 0.02, whatever the similarity. For other
        models it is scaled by the spread of their similarities.
        """
        return 0.02 / 0.2165 * self.spread


@dataclass(frozen=True, slots=True)
class TabulatedPrior:
    """Measured rates (descending) and the similarities exceeded at them. Linear in log rate between the points and
    beyond the last, like an extreme-value tail of shape zero."""

    rates: tuple[float, ...]
    similarities: tuple[float, ...]
    ambiguous_lead: float

    def similarity_at(self, rate: float) -> float:
        """See `Prior`."""
        return min(1.0, float(_line(-np.log(rate), self._rarity, self._similarity)))

    def rate_at(self, similarity: float) -> float:
        """See `Prior`."""
        return float(np.exp(-np.maximum(0, _line(similarity, self._similarity, self._rarity))))

    def shifted(self, by: float) -> TabulatedPrior:
        """The same with every similarity raised by this."""
        return TabulatedPrior(self.rates, tuple(value + by for value in self.similarities), self.ambiguous_lead)

    @property
    def _rarity(self) -> NDArray[np.float64]:
        return -np.log(self.rates)

    @property
    def _similarity(self) -> NDArray[np.float64]:
        return np.array(self.similarities)


def _line(at: float, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear interpolation. Extrapolates along the chord of the last two intervals, and along the first interval."""
    inside = np.interp(at, x, y)
    below, above = np.minimum(0, at - x[0]), np.maximum(0, at - x[-1])
    return np.asarray(
        inside + below * (y[1] - y[0]) / (x[1] - x[0]) + above * (y[-1] - y[-3]) / (x[-1] - x[-3]), np.float64
    )


# Raw similarities, measured on the LFW half in ../shared, fitted to within 0.004. Facenet512: 18.8 million pairs of
# different people, rates from 0.03 to 1e-6; Dlib: 0.6 million pairs, rates from 0.03 to 1e-5.
_MEASURED = {
    "Facenet512": QuadraticPrior(-0.0355, 0.2165, -0.0078),
    "Dlib": QuadraticPrior(0.8429, 0.0305, -0.0012),
}

# DeepFace's published thresholds (cosine distances), for models that we could not measure. Assumed to correspond to a
# false match rate of 1 in 1,000, with Facenet512's spread.
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


def has_prior(model: str) -> bool:
    """Is there a prior for this model?"""
    return model in _MEASURED or model in _PUBLISHED_DISTANCE


def impostor_prior(model: str) -> QuadraticPrior:
    """The measured prior of a model; else one derived from DeepFace's published threshold, which is logged."""
    if model in _MEASURED:
        return _MEASURED[model]
    _log.warning("error rates of %s are not measured: decisions follow DeepFace's published threshold", model)
    distance = _PUBLISHED_DISTANCE[model]
    # If a model's threshold is near 1, its similarities are crowded there, so the spread shrinks with the range left.
    spread = _MEASURED["Facenet512"].spread * min(1.0, distance / 0.44)
    return QuadraticPrior(1 - distance - spread * _STANDARD_NORMAL.inv_cdf(1 - DEFAULT_FMR), spread, 0.0)


# Normalised by data/models/cohort-facenet512.npz: 8 million pairs of LFW's 2,820 people, one picture each, probe
# against template (`impostors` of `evaluate.py openset`). The lowest rates are omitted, as they include LFW's label
# errors. The lead is the raw one, 0.02, divided by the scale of uncrowded faces, 0.53.
_NORMALISED = {
    "Facenet512": TabulatedPrior(
        (0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5),
        (-0.485, -0.287, -0.138, 0.002, 0.109, 0.210, 0.285, 0.367, 0.436),
        ambiguous_lead=0.038,
    ),
}


# Two people at large, for `verify`: adults drawn evenly from FairFace's seven appearances and two sexes, none of them
# in the cohort's training data (two-fold cross-validation over people). Rates down to 3e-4 are counted. Below that the
# few people who appear twice in FairFace dominate the tail, so these points come from samples of the Gaussians fitted
# to the held-out half. `evaluate.py strangers` measures both again; LFW validates them (docs/decisions/0048).
_AT_LARGE = {
    "Facenet512": TabulatedPrior(
        (0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5),
        (-0.598, -0.371, -0.206, -0.056, 0.061, 0.176, 0.271, 0.348, 0.414),
        ambiguous_lead=0.038,
    ),
}


@dataclass(frozen=True, slots=True)
class Priors:
    """`enrolled`: for a stranger and somebody enrolled. For the two people of `verify`: `at_large`, any two; `alike`,
    two of the same sex, age and appearance."""

    enrolled: Prior
    at_large: Prior
    alike: Prior


def priors(model: str, *, normalised: bool) -> Priors:
    """The priors of a model. `normalised`: for normalised similarities."""
    if normalised:
        return Priors(_NORMALISED[model], _AT_LARGE[model], _NORMALISED[model].shifted(LIKEWISE))
    prior = impostor_prior(model)
    return Priors(prior, prior, prior.shifted(RAW_LIKEWISE * prior.spread))


def nearest_of(similarity_at: Callable[[float], float], people: float, probability: float) -> float:
    """The similarity that the best of `people` exceeds with this probability, if each exceeds `similarity_at(rate)`
    at that rate."""
    return similarity_at(-math.expm1(math.log1p(-probability) / max(1, people)))
