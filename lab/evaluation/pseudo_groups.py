"""Groups for data sets that have none: by a linear discriminant of embeddings, learnt from a folder that has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facewire.server.vision.runtime import Floats

SURE = 0.7
"""Probability of a group from which a face is counted to it."""
SHRINK = 1e-4
"""Added to the pooled covariance, as a part of its mean variance in the directions that faces span."""
SPANNED = 52
"""Directions of the embeddings that are looked at: Facenet512's faces span 49."""


class Discriminant:
    """Assigns groups to embeddings. Only to measure with: the labels that it learns from were given by onlookers."""

    def __init__(self, faces: Floats, groups: NDArray[np.str_]) -> None:
        """`faces`: (n, d) unit rows of known `groups`, (n,)."""
        self.names, number = np.unique(groups, return_inverse=True)
        self._axes = np.linalg.svd(faces, full_matrices=False)[2][:SPANNED].T
        inside = (faces @ self._axes).astype(np.float64)
        means = np.stack([inside[number == each].mean(axis=0) for each in range(len(self.names))])
        spread = np.cov((inside - means[number]).T)
        spread += SHRINK * np.trace(spread) / len(spread) * np.eye(len(spread))
        self._weights = np.linalg.solve(spread, means.T)
        self._offsets = -np.einsum("kd,dk->k", means, self._weights) / 2

    def groups(self, faces: Floats) -> NDArray[np.str_]:
        """(n,) the group of each of (n, d) embeddings; empty where none is sure."""
        logits = (faces @ self._axes) @ self._weights + self._offsets
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        sure = chances.max(axis=1) / chances.sum(axis=1) >= SURE
        return np.where(sure, self.names[logits.argmax(axis=1)], "")
