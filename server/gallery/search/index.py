"""Search: finds the best template of each of the people nearest to an embedding.

An index is immutable; a changed gallery gets a new one. `ExactIndex` compares with every template and is the oracle for
every faster index. All of them finish with `nearest_people`, the exact comparison of a few candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facewire.server.comparison import nearness
from facewire.server.errors import ModelMismatch

UNIT_TOLERANCE = 1e-3
"""Maximum deviation of an embedding's length from 1: float32 and bf16 rounding stay below 1e-5, a forgotten
normalisation does not."""

BLOCK_ROWS = 4096
"""Rows compared at once in float64: 16 MB at 512 dimensions."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A person's best template: its row, the person's id, the cosine, the row's scale, and the score that ranked it.

    `nearness`: see `server.comparison`; similarity - 1 if no scales are used.
    """

    row: int
    person_id: int
    similarity: float
    scale: float
    nearness: float


class Index(Protocol):
    """The interface of a search index."""

    def search(self, embedding: NDArray[np.float32], k: int, spare: int = 0) -> tuple[Hit, ...]:
        """The `k` nearest people by `Hit.nearness`, nearest first, each with their best template.

        May return more than `k`: everybody tied with the k-th is included, and the caller chooses among them. Roughly
        `spare` extra people follow, not necessarily the next nearest. Raises ModelMismatch for another dimension,
        ValueError for a vector that is not unit.
        """
        ...

    def search_all(self, embeddings: NDArray[np.float32], k: int, spare: int = 0) -> tuple[tuple[Hit, ...], ...]:
        """The same for each of (m, d) embeddings; faster than one by one in large galleries."""
        ...

    def __len__(self) -> int:
        """The number of templates."""
        ...


def check_unit(embeddings: NDArray[np.float32], dimension: int) -> None:
    """Check (d,) or (n, d) embeddings against the gallery's contract; nothing is repaired.

    Another dimension means another model: ModelMismatch. A length other than 1, or a NaN, is a bug in the engine:
    ValueError.
    """
    if embeddings.ndim not in (1, 2) or embeddings.shape[-1] != dimension:
        raise ModelMismatch(f"the gallery's embeddings have {dimension} dimensions, not {embeddings.shape}")
    lengths = np.sqrt(np.einsum("...i,...i->...", embeddings, embeddings))
    # Phrased so that NaN fails too: every comparison with NaN is false.
    if not np.all(np.abs(lengths - 1.0) <= UNIT_TOLERANCE):
        raise ValueError("an embedding must have unit length and no NaN")


def check_query(embedding: NDArray[np.float32], dimension: int, k: int) -> None:
    """Raises the errors documented at `Index.search`."""
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    check_unit(embedding, dimension)


class ExactIndex:
    """Compares every template: one matrix product, then a more precise comparison of the few candidates."""

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        person_ids: NDArray[np.int64],
        scales: NDArray[np.float32] | None = None,
    ) -> None:
        """`embeddings`: (n, d) float32, C-contiguous, unit rows, not modified afterwards; `person_ids`: (n,); `scales`:
        (n,) positive, 1 by default (see `Rows`)."""
        self._embeddings = embeddings
        self._person_ids = person_ids
        self._scales = np.ones(len(person_ids), np.float32) if scales is None else scales
        # The errors of two float32 dot products of unit vectors are at most d * eps each; the division adds one eps.
        # See `_candidates`.
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

    def search_all(self, embeddings: NDArray[np.float32], k: int, spare: int = 0) -> tuple[tuple[Hit, ...], ...]:
        """See `Index.search_all`."""
        return tuple(self.search(embedding, k, spare) for embedding in embeddings)

    def _candidates(self, coarse: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """Rows that contain the best template of each of the k nearest people, and few others.

        The t most similar rows suffice once they cover k people: everybody else is further away. The last bits of the
        float32 product depend on a row's position in the matrix, so rows within its rounding error are included.
        """
        slack = self._error / float(self._scales.min())
        take = 4 * k  # usually enough at once: LFW has 2.3 pictures per person
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
    """The `k` nearest people among the given rows (at least one), as `Index.search` returns them. Rows may repeat."""
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
    """Cosines summed in float64 and rounded once: equal templates get equal similarities, wherever they are stored."""
    probe = embedding.astype(np.float64)
    blocks = (rows[start : start + BLOCK_ROWS] for start in range(0, len(rows), BLOCK_ROWS))
    exact = np.concatenate([embeddings[block].astype(np.float64) @ probe for block in blocks])
    return exact.astype(np.float32)


def _best_per_person(
    person_ids: NDArray[np.int64], rows: NDArray[np.int64], nearness: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Positions in `rows`, one per person: their best row, the earliest if tied; nearest first."""
    order = np.lexsort((rows, -nearness))
    _, first = np.unique(person_ids[rows[order]], return_index=True)
    first.sort()
    return order[first]
