"""When two clusters are one person: the log likelihood ratio of their faces, and the threshold on it.

The model is the two-covariance model of speaker verification (PLDA, here with one variance for all directions): a
person is a point, drawn with variance `WITHIN * BETWEEN`, and that person's faces scatter around it with variance
`WITHIN`. The likelihood of n faces then depends only on n and on the sum of their similarities to each other, so the
evidence for joining two clusters needs only sums, as in average linkage. Unlike average linkage, it accounts for the
fact that a large cluster determines its person better than a single face does. Chosen by measurement:
docs/decisions/0024. A blurred or turned face shows less of its person, so it counts for less than one (`counting`).
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

BETWEEN = 1.5
"""Variance between people, as a multiple of that within a person. LFW shows no difference from 1.0 to 1.5; children are
kept apart better by 1.5 (docs/decisions/0084)."""

MIDDLE, SPREAD = 0.036, 0.164
"""Mean and deviation of the similarities of different people (half normalised, two views), which are normally
distributed. Fitted to 18.8 million LFW pairs, within 0.02 for rates from 0.1 to 1e-5; FairFace's within 0.03."""

FALSE_JOINS = 0.015
"""Expected false joins per cluster if all were single faces. The best value on each half of LFW's people."""

HIGHEST_RATE = 3e-4
"""Upper bound of the rate, however few clusters. At 1e-3, a class of 25 children has a B-cubed precision of 0.87; at
3e-4, 0.98. On small albums of LFW's people the two are equal."""

PER_SHARED_PHOTO = 0.115
"""Evidence against one person from each photograph that shows both: ln 100, as it is possible (collages, mirrors) but
rare, divided by the 40 independent directions of FaceNet's similarities (1 / SPREAD^2)."""

_NORMAL = NormalDist()


def log_likelihood(count: Numbers, total: Numbers) -> Numbers:
    """Log likelihood, per direction, that each cluster is one person, up to terms independent of the partition.

    `total`: the sum of all similarities within the cluster, including each face's to itself (1).
    """
    spread = 1 + count * BETWEEN
    likelihood: Numbers = (BETWEEN * (1 + BETWEEN) * total / spread - np.log(spread)) / 2
    return likelihood


def counting(clarity: Numbers) -> tuple[Numbers, Numbers]:
    """How much faces count, (n,) each, in sums of embeddings and as a number of clear faces.

    `clarity`: the share of its person that a face shows, 1 for a clear one: its similarity to clear faces of the same
    person is that many times theirs, and the rest of its length is noise.
    """
    noise = 1 + BETWEEN * (1 - clarity**2)
    return clarity / noise, clarity**2 / noise


def evidence(counts: tuple[Numbers, Numbers], totals: tuple[Numbers, Numbers], across: Numbers) -> Numbers:
    """The log likelihood ratio of one person against two; `across`: the sum of similarities between the clusters."""
    joined = log_likelihood(counts[0] + counts[1], totals[0] + totals[1] + 2 * across)
    return joined - log_likelihood(counts[0], totals[0]) - log_likelihood(counts[1], totals[1])


def evidence_of_two(similarity: Numbers) -> Numbers:
    """`evidence` for two single faces."""
    ones = np.ones_like(similarity)
    return evidence((ones, ones), (ones, ones), similarity)


def strangers_exceed(rate: float) -> float:
    """The similarity that pairs of different people exceed at this rate."""
    return MIDDLE + SPREAD * _NORMAL.inv_cdf(1 - rate)


def similarity_asked(clusters: float) -> float:
    """The similarity at which two single faces are joined, among this many clusters: at it, FALSE_JOINS false joins per
    cluster are expected."""
    return strangers_exceed(min(HIGHEST_RATE, 2 * FALSE_JOINS / max(1, clusters - 1)))


def evidence_asked(clusters: float) -> float:
    """The evidence at which two of this many clusters are joined: that of two faces at `similarity_asked`."""
    return float(evidence_of_two(np.array(similarity_asked(clusters))))
