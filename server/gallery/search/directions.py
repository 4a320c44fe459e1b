"""Exact search that reads a few directions of every embedding, and the whole of a few embeddings.

Facenet512's 512 numbers lie in 49 directions, and most of an embedding lies in fewer. A similarity is the product in
those directions plus that of what lies outside, which is at most the product of both lengths out there (Cauchy and
Schwarz). So a template is a column of numbers whose product with the probe's is the greatest nearness that it may have:
all are looked at, which reads a twelfth of the embeddings, and only who may be among the nearest is compared.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facewire.server.gallery.search.index import ExactIndex, Hit, check_query

DIRECTIONS = 38
"""With the two numbers beside them a column of 40. Fewer are read faster, and leave more to compare
(docs/decisions/0007)."""

GROUPS = 8192
"""The greatest bound of each of about so many groups of rows decides which rows are compared first: to order a million
bounds would take as long as computing them."""

FIRST = 64
"""How many rows are compared at first to learn how near the k-th person is."""

MOST_SHARE = 1 / 16
"""Where more of the templates than this may be among the nearest, comparing all of them in order is faster."""


class Directions:
    """Orthonormal directions that hold most of an embedding; immutable, for any number of threads."""

    def __init__(self, axes: NDArray[np.float32]) -> None:
        """`axes`: (d, r) orthonormal columns; searching is the faster, the more of the embeddings they hold."""
        dimension, count = axes.shape
        self._axes = axes
        # A float32 dot product of unit vectors errs by at most d * eps / 2, as many coordinates together by the root of
        # r times that; twice that, for template and probe, with room for the shorter sums behind.
        self._slack = 2 * (dimension + 4 * count) * math.sqrt(count + 2) * float(np.finfo(np.float32).eps)

    @classmethod
    def leading(cls, axes: NDArray[np.float32], inside: NDArray[np.float32], count: int = DIRECTIONS) -> Directions:
        """Of the space of orthonormal `axes` (d, s), the `count` directions that hold most of some faces, (m, s) there;
        all of it where it has no more."""
        found = np.linalg.eigh(inside.T.astype(np.float64) @ inside.astype(np.float64)).eigenvectors  # least first
        return cls(np.ascontiguousarray(axes @ found[:, ::-1][:, :count], np.float32))

    @property
    def height(self) -> int:
        """The numbers in a column."""
        return 2 + int(self._axes.shape[1])

    def columns(self, embeddings: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.float32]:
        """(r + 2, m) for (m, d) unit embeddings and their (m,) scales: the coordinates, 1 and the length outside, each
        over the scale."""
        inside, outside = self._parts(embeddings)
        columns = np.concatenate([inside.T, np.ones((1, len(scales)), np.float32), outside[None]])
        columns /= scales
        return columns

    def probe(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """(r + 2,) for a (d,) unit embedding: times a column it is the greatest `nearness` that the two may have."""
        inside, outside = self._parts(embedding[None])
        return np.concatenate([inside[0], np.array([self._slack - 1], np.float32), outside])

    def _parts(self, embeddings: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Coordinates (m, r), and at least the lengths of what lies outside, (m,)."""
        inside = embeddings @ self._axes
        squares = np.einsum("ij,ij->i", embeddings, embeddings) - np.einsum("ij,ij->i", inside, inside)
        return inside, np.sqrt(np.asarray(np.maximum(squares, 0) + self._slack, np.float32))


class DirectionsIndex:
    """An `Index` that answers as `ExactIndex` does, whatever the vectors, and mostly reads far less."""

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        person_ids: NDArray[np.int64],
        scales: NDArray[np.float32],
        columns: NDArray[np.float32],
        directions: Directions,
    ) -> None:
        """As `ExactIndex`; `columns`: (r + 2, n), what `directions` makes of the rows."""
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
        """How near the k-th person is at least, by the most promising rows; minus infinity where those show fewer."""
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
            take *= 4  # one person has that many templates
        return -math.inf

    def _compared(self, rows: NDArray[np.int64], embedding: NDArray[np.float32], k: int) -> tuple[Hit, ...]:
        """The exact search among some rows, ascending."""
        index = ExactIndex(self._embeddings[rows], self._person_ids[rows], self._scales[rows])
        return tuple(replace(hit, row=int(rows[hit.row])) for hit in index.search(embedding, k))
