"""When two clusters are one person: the log likelihood ratio of their faces, and how much of it is asked for.

The model is the two-covariance model of speaker verification (PLDA, here with one variance for all directions): a
person is a point, drawn with variance `WITHIN * BETWEEN`, and each face lies around it with variance `WITHIN`. Under
it, what n faces say of their person depends only on n and on the sum of their similarities to each other, so the
evidence for joining two clusters needs only sums, as average linkage does. Unlike average linkage it knows that a
large cluster is surer of its person than a single face is. Chosen by measurement: docs/decisions/0024.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

BETWEEN = 1.2
"""The variance between people, in that within. From 1.0 to 1.5 it makes no difference that LFW can show."""

MIDDLE, SPREAD = 0.036, 0.164
"""Similarities of different people (half normalised, two views) are distributed normally: fitted to 18.8 million LFW
pairs, within 0.02 for rates from 0.1 to 1e-5; FairFace's within 0.03."""

FALSE_JOINS = 0.015
"""How many false joins are expected per cluster, were all of them single faces: best on each half of LFW's people."""

HIGHEST_RATE = 3e-4
"""However few clusters. At 1e-3 a class of 25 children has a B-cubed precision of 0.87, at 3e-4 of 0.98; on small
albums of LFW's people the two are level."""

PER_SHARED_PHOTO = 0.115
"""What a photograph that shows both says against one person: ln 100, for that happens (collages, mirrors), but seldom,
over the 40 independent directions that FaceNet's similarities have (1 / SPREAD^2)."""

_NORMAL = NormalDist()


def log_likelihood(count: Numbers, total: Numbers) -> Numbers:
    """Of clusters that are one person each, per direction, less what does not depend on how they are divided.

    `total`: the sum of all similarities within, of each face to itself (1) too.
    """
    spread = 1 + count * BETWEEN
    likelihood: Numbers = (BETWEEN * (1 + BETWEEN) * total / spread - np.log(spread)) / 2
    return likelihood


def evidence(counts: tuple[Numbers, Numbers], totals: tuple[Numbers, Numbers], across: Numbers) -> Numbers:
    """The log likelihood ratio of one person against two; `across`: the sum of similarities from one to the other."""
    joined = log_likelihood(counts[0] + counts[1], totals[0] + totals[1] + 2 * across)
    return joined - log_likelihood(counts[0], totals[0]) - log_likelihood(counts[1], totals[1])


def evidence_of_two(similarity: Numbers) -> Numbers:
    """The same of two single faces."""
    ones = np.ones_like(similarity)
    return evidence((ones, ones), (ones, ones), similarity)


def strangers_exceed(rate: float) -> float:
    """The similarity that two different people exceed at this rate."""
    return MIDDLE + SPREAD * _NORMAL.inv_cdf(1 - rate)


def similarity_asked(clusters: int) -> float:
    """Of two single faces, among so many clusters: different people exceed it FALSE_JOINS times per cluster in all."""
    return strangers_exceed(min(HIGHEST_RATE, 2 * FALSE_JOINS / max(1, clusters - 1)))


def evidence_asked(clusters: int) -> float:
    """The evidence from which two of so many clusters are joined: that of two faces as similar as is asked for."""
    return float(evidence_of_two(np.array(similarity_asked(clusters))))
