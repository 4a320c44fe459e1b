"""Exact search that reads a few directions of every embedding, and complete embeddings only for the best candidates.

Facenet512's 512 numbers lie in 49 directions, and most of an embedding lies in fewer. A similarity is the dot product
in those directions plus that of the residuals, which is at most the product of the residuals' lengths (Cauchy-Schwarz).
So each template is stored as a column whose dot product with the probe's is an upper bound of its nearness. Computing
all bounds reads a twelfth of the embeddings; only templates that may be among the nearest are compared exactly.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facewire.server.gallery.search.index import ExactIndex, Hit, check_query

DIRECTIONS = 38
"""With the two extra numbers, a column has 40. Fewer directions are faster to read but leave more templates to compare
exactly (docs/decisions/0007)."""

GROUPS = 8192
"""Number of groups of rows. The maximum bound of each group decides which rows are compared first: sorting a million
bounds would take as long as computing them."""

FIRST = 64
"""Rows compared first, to learn how near the k-th person is."""

MOST_SHARE = 1 / 16
"""If more than this share of the templates may be among the nearest, comparing all of them in order is faster."""


class Directions:
    """Orthonormal directions that hold most of an embedding; immutable and thread-safe."""

    def __init__(self, axes: NDArray[np.float32]) -> None:
        """`axes`: (d, r) orthonormal columns; the more of the embeddings they hold, the faster the search."""
        dimension, count = axes.shape
        self._axes = axes
        # A float32 dot product of unit vectors is off by at most d * eps / 2, the vector of r coordinates by sqrt(r)
        # times that; doubled, for template and probe, with a margin for the shorter sums that follow.
        self._slack = 2 * (dimension + 4 * count) * math.sqrt(count + 2) * float(np.finfo(np.float32).eps)

    @classmethod
    def leading(cls, axes: NDArray[np.float32], inside: NDArray[np.float32], count: int = DIRECTIONS) -> Directions:
        """The `count` directions, within the space of orthonormal `axes` (d, s), that hold most of the given faces'
        coordinates `inside` (m, s); the whole space if it has no more dimensions."""
        found = np.linalg.eigh(inside.T.astype(np.float64) @ inside.astype(np.float64)).eigenvectors  # ascending
        return cls(np.ascontiguousarray(axes @ found[:, ::-1][:, :count], np.float32))

    @property
    def height(self) -> int:
        """Length of a column: r + 2."""
        return 2 + int(self._axes.shape[1])

    def columns(self, embeddings: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.float32]:
        """(r + 2, m) columns for (m, d) unit embeddings with (m,) scales: the coordinates, 1 and the residual's length,
        all divided by the scale."""
        inside, outside = self._parts(embeddings)
        columns = np.concatenate([inside.T, np.ones((1, len(scales)), np.float32), outside[None]])
        columns /= scales
        return columns

    def probe(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """(r + 2,) for a (d,) unit embedding; its dot product with a column is an upper bound of the pair's
        `nearness`."""
        inside, outside = self._parts(embedding[None])
        return np.concatenate([inside[0], np.array([self._slack - 1], np.float32), outside])

    def _parts(self, embeddings: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Coordinates (m, r), and upper bounds of the residuals' lengths, (m,)."""
        inside = embeddings @ self._axes
        squares = np.einsum("ij,ij->i", embeddings, embeddings) - np.einsum("ij,ij->i", inside, inside)
        return inside, np.sqrt(np.asarray(np.maximum(squares, 0) + self._slack, np.float32))


class DirectionsIndex:
    """Gives the same answers as `ExactIndex` for any vectors, usually reading far less memory."""

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        person_ids: NDArray[np.int64],
        scales: NDArray[np.float32],
        columns: NDArray[np.float32],
        directions: Directions,
    ) -> None:
        """As `ExactIndex`; `columns`: (r + 2, n), from `Directions.columns`."""
        self._embeddings = embeddings
        self._person_ids = person_ids
        self._scales = scales
        self._columns = columns
        self._directions = directions

    def __len__(self) -> int:
        return len(self._person_ids)

    def search(self, embedding: NDArray[np.float32], k: int, spare: int = 0) -> tuple[Hit, ...]:
        """See `Index.search`."""
        check_query(embedding, self._embeddings.shape[1], k)
        bounds = self._directions.probe(embedding) @ self._columns
        reached = self._reached(bounds, embedding, k + spare)
        rows = np.flatnonzero(bounds >= reached)
        if len(rows) > MOST_SHARE * len(self) + FIRST:
            return ExactIndex(self._embeddings, self._person_ids, self._scales).search(embedding, k, spare)
        return self._compared(rows, embedding, k + spare)

    def _reached(self, bounds: NDArray[np.float32], embedding: NDArray[np.float32], k: int) -> float:
        """A lower bound of the k-th person's nearness, from the most promising rows; -inf if they show fewer than k
        people."""
        group = max(1, len(bounds) // GROUPS)
        even = len(bounds) - len(bounds) % group
        greatest = np.concatenate([bounds[:even].reshape(group, -1).max(axis=0), bounds[even:]])
        take = max(FIRST, 4 * k)
        while take <= len(greatest):
            cut = np.partition(greatest, len(greatest) - take)[len(greatest) - take]
            rows = np.flatnonzero(bounds >= cut)
            if len(rows) > MOST_SHARE * len(self) + FIRST:
                break
            hits = self._compared(rows, embedding, k)
            if len(hits) >= k:
                return hits[-1].nearness
            take *= 4  # one person owns that many templates
        return -math.inf

    def _compared(self, rows: NDArray[np.int64], embedding: NDArray[np.float32], k: int) -> tuple[Hit, ...]:
        """Exact search among the given rows (ascending)."""
        index = ExactIndex(self._embeddings[rows], self._person_ids[rows], self._scales[rows])
        return tuple(replace(hit, row=int(rows[hit.row])) for hit in index.search(embedding, k))
