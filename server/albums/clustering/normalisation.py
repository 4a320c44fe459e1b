"""Similarity half normalised by a cohort, in a form that can be summed over the faces of clusters.

FaceNet's similarities between different people are higher among children and Asian faces than among white men, who
dominate its training data. AS-norm corrects a similarity s of faces i and j by each face's similarities to a cohort of
other people (mean m and deviation d of the nearest). Here, with m0 and d0 those of a typical LFW face:

    s' = m0 + p_i p_j (s - m0 - (m_i - m0 + m_j - m0) / 4),    p_i = (d0 / d_i) ** (1/4)

which is halfway between s and AS-norm with the geometric mean of the deviations. Half, because a cohort's groups are
not as large as an album's: with full normalisation, LFW's white men are joined too readily (docs/decisions/0024).

Without a cohort, another model's similarities are rescaled using the prior for its strangers (`Scale`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facewire.server.albums.clustering.evidence import counting, strangers_exceed
from facewire.server.gallery.search.cohort import Statistics

Floats = NDArray[np.float32]
Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]

USUAL_MEAN, USUAL_DEVIATION = 0.3395, 0.0459
"""m0 and d0: the averages over LFW's faces with the shipped cohort, as printed by `evaluate.py clusters`. They differ
for other cohorts: an error of 0.04 in m0 moves s' by 0.02."""


COMMON, RARE = 1e-2, 1e-5
"""The rates at which another model's similarities of strangers are matched to Facenet512's: about where joins are
decided. With (0.03, 1e-4) or (0.001, 1e-5) instead, dlib's F differs by 0.002."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps a model's similarity s to the scale of evidence.py: `offset` + `slope` s. Facenet512's is unchanged."""

    slope: float = 1.0
    offset: float = 0.0


FITTED = Scale()


def scale_of(similarity_at: Callable[[float], float]) -> Scale:
    """The scale of a model for which pairs of different people exceed `similarity_at(rate)` at that rate."""
    common, rare = similarity_at(COMMON), similarity_at(RARE)
    slope = (strangers_exceed(RARE) - strangers_exceed(COMMON)) / max(rare - common, 1e-6)
    return Scale(slope, strangers_exceed(RARE) - slope * rare)


class Weights(NamedTuple):
    """Of each face, (n,) each: its normalisation terms, p_i and p_i (m_i - m0) / 4; and how much it counts in sums of
    embeddings, and as a number of clear faces (evidence.py)."""

    scale: Numbers
    shift: Numbers
    amount: Numbers
    precision: Numbers

    @property
    def itself(self) -> Numbers:
        """The formula's similarity of each face to itself, which should be 1."""
        return USUAL_MEAN + self.scale * (self.scale * (1 - USUAL_MEAN) - 2 * self.shift)


def weights(faces: int, statistics: Statistics | None, scale: Scale, clarity: Numbers | None = None) -> Weights:
    """The weights of this many faces, given their cohort statistics; without, s' is just s on `scale`. `clarity`: (n,),
    without it all faces are clear."""
    amount, precision = counting(np.ones(faces) if clarity is None else clarity)
    if statistics is None:
        each = np.full(faces, np.sqrt(scale.slope))
        return Weights(each, (USUAL_MEAN * (1 - scale.slope) - scale.offset) / (2 * each), amount, precision)
    mean, deviation = (np.asarray(each, np.float64) for each in statistics)
    power = (USUAL_DEVIATION / np.maximum(deviation, USUAL_DEVIATION / 4)) ** 0.25
    return Weights(power, power * (mean - USUAL_MEAN) / 4, amount, precision)


def face_by_face(embeddings: Floats, weights: Weights, ones: Indices, others: Indices) -> Numbers:
    """(len(ones), len(others)): s' of each of some faces and each of others."""
    products = (embeddings[ones] @ embeddings[others].T).astype(np.float64)
    scales = weights.scale[ones, None], weights.scale[None, others]
    shifts = weights.shift[ones, None], weights.shift[None, others]
    return across((np.ones(1), np.ones(1)), scales, shifts, products * scales[0] * scales[1])


def across(
    counts: tuple[Numbers, Numbers],
    scales: tuple[Numbers, Numbers],
    shifts: tuple[Numbers, Numbers],
    products: Numbers,
) -> Numbers:
    """The sum of s' over all pairs of a face on each side, from sums over each side's faces.

    `products`: the inner product of the two sums of p_i x_i; `scales`, `shifts`: sums of `Weights`.
    """
    usual: Numbers = USUAL_MEAN * (counts[0] * counts[1] - scales[0] * scales[1])
    return usual + products - shifts[0] * scales[1] - scales[0] * shifts[1]
