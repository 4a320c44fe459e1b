"""Search: from an embedding to the best template of each of the nearest people.

An index is immutable; a changed gallery gets another one. `ExactIndex` compares with every template and is the oracle
of every faster index; what they all end with, the exact comparison of a few candidates, is `nearest_people`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facewire.server.comparison import nearness
from facewire.server.errors import ModelMismatch

UNIT_TOLERANCE = 1e-3
"""How far from 1 an embedding's length may be: float32 and bf16 rounding stay below 1e-5, a forgotten normalisation
does not."""

BLOCK_ROWS = 4096
"""Rows compared at once in float64: 16 MB at 512 dimensions."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A person's best template: its row, the person's id, the cosine, the row's scale, and what ranked it.

    `nearness`: see `server.comparison`; the similarity less 1 where no scales are used.
    """

    row: int
    person_id: int
    similarity: float
    scale: float
    nearness: float


class Index(Protocol):
    """What the gallery asks of an index."""

    def search(self, embedding: NDArray[np.float32], k: int, spare: int = 0) -> tuple[Hit, ...]:
        """The `k` nearest people by `Hit.nearness`, nearest first, each with their best template.

        People whose nearness equals the k-th's are all there, so there may be more than `k`: who of them is named
        is the caller's choice. About `spare` more follow, who need not be the very next. Raises ModelMismatch for
        another dimension, ValueError for a vector that is not unit.
        """
        ...

    def __len__(self) -> int:
        """The number of templates."""
        ...


def check_unit(embeddings: NDArray[np.float32], dimension: int) -> None:
    """Hold (d,) or (n, d) embeddings to the gallery's contract; nothing is repaired.

    Another dimension is another model: ModelMismatch. A length other than 1, or a NaN, is an engine's bug: ValueError.
    """
    if embeddings.ndim not in (1, 2) or embeddings.shape[-1] != dimension:
        raise ModelMismatch(f"the gallery's embeddings have {dimension} dimensions, not {embeddings.shape}")
    lengths = np.linalg.norm(embeddings, axis=-1)
    # Written so that NaN fails too: every comparison with it is false.
    if not np.all(np.abs(lengths - 1.0) <= UNIT_TOLERANCE):
        raise ValueError("an embedding must have unit length and no NaN")


def check_query(embedding: NDArray[np.float32], dimension: int, k: int) -> None:
    """Raises what `Index.search` says it raises."""
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    check_unit(embedding, dimension)


class ExactIndex:
    """Every template compared: one matrix product, then a closer look at the few that may win."""

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        person_ids: NDArray[np.int64],
        scales: NDArray[np.float32] | None = None,
    ) -> None:
        """`embeddings`: (n, d) float32, C-contiguous, unit rows, not written to from here on; `person_ids`: (n,);
        `scales`: (n,) positive, by default 1 (see `Rows`)."""
        self._embeddings = embeddings
        self._person_ids = person_ids
        self._scales = np.ones(len(person_ids), np.float32) if scales is None else scales
        # Two float32 dot products of unit vectors each err by at most d * eps, the division adds an eps; see
        # `_candidates`.
        self._error = (2 * embeddings.shape[1] + 8) * float(np.finfo(np.float32).eps)

    def __len__(self) -> int:
        return len(self._person_ids)

    def search(self, embedding: NDArray[np.float32], k: int, spare: int = 0) -> tuple[Hit, ...]:
        """See `Index.search`."""
        check_query(embedding, self._embeddings.shape[1], k)
        if not len(self):
            return ()
        k += spare
        coarse = nearness(self._embeddings @ embedding, self._scales)
        rows = self._candidates(coarse, k)
        return nearest_people(self._embeddings, self._person_ids, self._scales, rows, embedding, k)

    def _candidates(self, coarse: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """Rows that hold the best template of each of the k nearest people, and few others.

        The t most similar rows are enough as soon as they show k people: whoever is not among them is further away.
        The float32 product differs in its last bits with a row's place in the matrix, so rows within its error count.
        """
        slack = self._error / float(self._scales.min())
        take = 4 * k  # LFW has 2.3 pictures a person: mostly enough at once
        while take < len(coarse):
            cut = np.partition(coarse, len(coarse) - take)[len(coarse) - take]
            if len(np.unique(self._person_ids[coarse >= cut])) >= k:
                return np.flatnonzero(coarse >= cut - slack)
            take *= 4
        return np.arange(len(coarse))


def nearest_people(
    embeddings: NDArray[np.float32],
    person_ids: NDArray[np.int64],
    scales: NDArray[np.float32],
    rows: NDArray[np.int64],
    embedding: NDArray[np.float32],
    k: int,
) -> tuple[Hit, ...]:
    """The `k` nearest people among some rows (at least one), as `Index.search` gives them. A row may come twice."""
    similarities = _similarities(embeddings, rows, embedding)
    near = nearness(similarities.astype(np.float64), scales[rows].astype(np.float64))
    best = _best_per_person(person_ids, rows, near)
    if len(best) > k:
        best = best[near[best] >= near[best[k - 1]]]
    return tuple(
        Hit(
            int(rows[at]),
            int(person_ids[rows[at]]),
            float(similarities[at]),
            float(scales[rows[at]]),
            float(near[at]),
        )
        for at in best
    )


def _similarities(
    embeddings: NDArray[np.float32], rows: NDArray[np.int64], embedding: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Cosines summed in float64 and rounded once: equal templates get equal similarities, wherever they lie."""
    probe = embedding.astype(np.float64)
    blocks = (rows[start : start + BLOCK_ROWS] for start in range(0, len(rows), BLOCK_ROWS))
    exact = np.concatenate([embeddings[block].astype(np.float64) @ probe for block in blocks])
    return exact.astype(np.float32)


def _best_per_person(
    person_ids: NDArray[np.int64], rows: NDArray[np.int64], nearness: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Positions in `rows`: one per person, the earliest of their best, nearest first."""
    order = np.lexsort((rows, -nearness))
    _, first = np.unique(person_ids[rows[order]], return_index=True)
    first.sort()
    return order[first]
