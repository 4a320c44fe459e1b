"""Embeddings as Milvus ranks them: `nearness` as a distance.

A template with scale s and coordinates r is stored as v = [r / s, 1 / s, rest], a probe with coordinates p asks with
[p, -1, 0]. Their inner product is (r * p - 1) / s, the pair's nearness. `rest` makes all stored vectors equally long,
so that the nearest by distance has the largest product: HNSW finds too few of the nearest by the product itself, and
FLAT is exact with either (docs/decisions/0069). Coordinates are those in the directions that the cohort's members lie
in: 49 for Facenet512, which leave out 0.000014 of a face's squared length. They are kept with the gallery, as two
machines may compute them differently. A model without a cohort keeps all its dimensions, at scale 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facewire.server.gallery.search.cohort import SMALLEST_REACH, Cohort, measure_by

_SLACK = 1.001
"""For lengths that are 1 to within rounding."""


class Vectors:
    """Immutable and thread-safe."""

    def __init__(self, axes: NDArray[np.float32], cohort: Cohort | None) -> None:
        """`axes`: (d, r), orthonormal columns."""
        self.axes = axes
        self.scales = measure_by(cohort)
        self._square = _SLACK * 2 / (1 if cohort is None else SMALLEST_REACH)

    @property
    def width(self) -> int:
        """Numbers in a stored vector."""
        return int(self.axes.shape[1]) + 2

    def stored(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, width) vectors of (n, d) unit embeddings."""
        inverse = 1 / self.scales(embeddings)[:, None]
        found = np.hstack([embeddings @ self.axes * inverse, inverse])
        rest = np.sqrt(np.maximum(self._square - np.square(found).sum(axis=1, keepdims=True), 0))
        return np.hstack([found, rest]).astype(np.float32)

    def asked(self, coordinates: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, width) vectors to search with, of (n, r) coordinates."""
        last = np.tile(np.array([-1, 0], np.float32), (len(coordinates), 1))
        return np.hstack([coordinates, last]).astype(np.float32)

    def coordinates(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, r) of (n, d)."""
        return np.asarray(embeddings @ self.axes, np.float32)

    def embeddings(self, stored: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) unit embeddings of (n, width) stored vectors, without what lies outside the directions."""
        found = parts(stored)[0] @ self.axes.T.astype(np.float64)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.where(lengths > 0, lengths, 1), np.float32)


def parts(stored: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates (n, r) and scales (n,) of stored vectors (n, r + 2)."""
    wide = stored.astype(np.float64)
    scales = 1 / wide[:, -2]
    return wide[:, :-2] * scales[:, None], scales


def axes_for(cohort: Cohort | None, dimension: int) -> NDArray[np.float32]:
    """The directions of a new gallery."""
    return np.eye(dimension, dtype=np.float32) if cohort is None else cohort.axes
