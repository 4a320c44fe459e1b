"""Every formula that compares two embeddings.

*Similarity* is the cosine of two unit embeddings, *distance* the Euclidean distance between them. Strangers come closer
to some faces than to others, so a similarity is measured relative to how close strangers come: each face has a local
scale (see `gallery.search.cohort`; 1 without a cohort), a pair has the product of both, and

    normalised = 1 - (1 - similarity) / scale

is 1 for identical embeddings and 0 for a pair as close as near strangers are. This is local scaling (Zelnik-Manor and
Perona 2004), and decisions are based on it. A probe's own scale is the same against everybody, so people are ranked by
`nearness`, which omits it. All arguments broadcast; scalars give floats and arrays give arrays.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", float, NDArray[Any])


def distance(similarity: float) -> float:
    """The Euclidean distance between unit vectors with this cosine, which rounding may have pushed beyond 1."""
    return math.sqrt(max(0.0, 2.0 - 2.0 * similarity))


def normalised(similarity: Number, scale: Number) -> Number:
    """A similarity relative to near strangers. `scale`: the product of both faces' scales."""
    found: Number = 1 - (1 - similarity) / scale
    return found


def similarity_for(normalised_similarity: Number, scale: Number) -> Number:
    """The inverse of `normalised`: the cosine that a pair of this scale needs."""
    needed: Number = 1 - (1 - normalised_similarity) * scale
    return needed


def nearness(similarity: Number, scale: Number) -> Number:
    """The score that ranks templates for one probe: at most 0, higher is closer. `scale`: the template's only."""
    found: Number = (similarity - 1) / scale
    return found


def normalised_matrix(
    ones: NDArray[np.float32],
    others: NDArray[np.float32],
    scales: NDArray[Any],
    other_scales: NDArray[Any],
) -> NDArray[np.float32]:
    """(n, m) normalised similarities of (n, d) and (m, d) unit embeddings with (n,) and (m,) scales."""
    return np.asarray(normalised(ones @ others.T, np.outer(scales, other_scales)), np.float32)
