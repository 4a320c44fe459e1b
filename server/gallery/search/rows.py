"""The gallery's templates in memory: one float32 matrix, and whose each row is.

`Rows` never change for whoever holds them. Enrolling yields new `Rows` that share the old ones' memory: the new rows
are written behind the last row that anybody can see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from facewire.server.gallery.search.directions import Directions, DirectionsIndex
from facewire.server.gallery.search.index import ExactIndex, Index, check_unit

SPARE_SHARE = 4
"""A full matrix is copied into one larger by a quarter: a copy per row, spread over many enrolments, stays cheap, and
memory that nothing was written to yet is not resident."""

SPARE_ROWS = 256
"""Room in a small or empty gallery: half a megabyte at 512 dimensions."""


class Chunk(NamedTuple):
    """Some rows on their way in. `embeddings`: (m, d) float32; the ids: one per row."""

    embeddings: NDArray[np.float32]
    template_ids: Sequence[int]
    image_ids: Sequence[int]
    person_ids: Sequence[int]


Measure = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(m, d) embeddings -> (m,) scales."""


def unscaled(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """The measure without a cohort: people are ranked by similarity."""
    return np.ones(len(embeddings), np.float32)


class _Arena:
    """Room for `capacity` rows, of which the first `used` are written. Only a writer touches it, one at a time."""

    def __init__(self, capacity: int, dimension: int, measure: Measure, directions: Directions | None) -> None:
        self.capacity = capacity
        self.used = 0
        self.measure = measure
        self.directions = directions
        self.embeddings = np.empty((capacity, dimension), dtype=np.float32)
        self.scales = np.empty(capacity, dtype=np.float32)
        # As they are searched: a direction's numbers of everybody lie together.
        self.columns = np.empty((directions.height if directions else 0, capacity), dtype=np.float32)
        self.ids = np.empty((3, capacity), dtype=np.int64)

    def write(self, chunk: Chunk) -> None:
        end = self.used + len(chunk.embeddings)
        self.embeddings[self.used : end] = chunk.embeddings
        scales = self.measure(chunk.embeddings)
        self.scales[self.used : end] = scales
        if self.directions is not None:
            self.columns[:, self.used : end] = self.directions.columns(chunk.embeddings, scales)
        self.ids[0, self.used : end] = chunk.template_ids
        self.ids[1, self.used : end] = chunk.image_ids
        self.ids[2, self.used : end] = chunk.person_ids
        self.used = end

    def sort(self) -> None:
        """Bring the rows into the order of their template ids."""
        order = np.argsort(self.ids[0, : self.used], kind="stable")
        self.embeddings[: self.used] = self.embeddings[order]
        self.scales[: self.used] = self.scales[order]
        self.columns[:, : self.used] = self.columns[:, order]
        self.ids[:, : self.used] = self.ids[:, order]

    def with_ids(self, rows: int) -> _Arena:
        """The first `rows` rows with ids that may be written to. The embeddings are shared, and the room behind them is
        the new one's: nothing can be added to this arena any more."""
        heir = _Arena(0, self.embeddings.shape[1], self.measure, self.directions)
        heir.embeddings, heir.scales, heir.columns = self.embeddings, self.scales, self.columns
        heir.ids = self.ids.copy()
        heir.capacity = self.capacity if self.used == rows else rows
        heir.used = rows
        self.used = self.capacity = -1
        return heir


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Read-only views. `embeddings`: (n, d) float32, C-contiguous, unit rows; the ids: (n,) int64, templates ascending.

    `scales`: (n,) float32, positive: (1 - similarity) / scale ranks templates; measured once, when a row comes in.
    `columns`: (r + 2, n), see `Directions.columns`; without directions there are none, and no row of them.
    """

    embeddings: NDArray[np.float32]
    scales: NDArray[np.float32]
    columns: NDArray[np.float32]
    template_ids: NDArray[np.int64]
    image_ids: NDArray[np.int64]
    person_ids: NDArray[np.int64]
    _arena: _Arena

    @classmethod
    def load(
        cls,
        count: int,
        dimension: int,
        chunks: Iterable[Chunk],
        measure: Measure = unscaled,
        directions: Directions | None = None,
    ) -> Self:
        """`count` rows out of `chunks`, each written straight to its place, so that memory holds them once.

        With `directions` they are searched in those. Raises ModelMismatch or ValueError (see `check_unit`) on rows that
        can't be compared.
        """
        arena = _Arena(count + count // SPARE_SHARE + SPARE_ROWS, dimension, measure, directions)
        for chunk in chunks:
            check_unit(chunk.embeddings, dimension)
            arena.write(chunk)
        return cls._view(arena)

    def __len__(self) -> int:
        return len(self.template_ids)

    @property
    def index(self) -> Index:
        """The fastest search among them."""
        directions = self._arena.directions
        if directions is None:
            return ExactIndex(self.embeddings, self.person_ids, self.scales)
        return DirectionsIndex(self.embeddings, self.person_ids, self.scales, self.columns, directions)

    def appended(self, chunk: Chunk) -> Self:
        """These rows and the chunk's. One writer at a time; readers of older rows are not disturbed."""
        check_unit(chunk.embeddings, self.embeddings.shape[1])
        arena = self._arena
        total = len(self) + len(chunk.embeddings)
        # Rows behind ours belong to newer Rows, so a second branch from here gets memory of its own.
        if arena.used != len(self) or total > arena.capacity:
            arena = self._copied(np.ones(len(self), bool), coming=total - len(self), spare=total // SPARE_SHARE)
        arena.write(chunk)
        return self._view(arena)

    def edited(self, touched: NDArray[np.int64], current: Chunk) -> Self:
        """These rows with the `touched` templates (ascending ids) as they are now: `current`, less those that are gone.

        One writer at a time; readers of older rows are not disturbed. The ids of the result ascend.
        """
        if not len(touched):
            return self
        if not len(self) or touched[0] > self.template_ids[-1]:
            return self.appended(current) if len(current.embeddings) else self
        check_unit(current.embeddings, self.embeddings.shape[1])
        ids = np.asarray(current.template_ids, dtype=np.int64)
        mine = np.isin(self.template_ids, touched)
        if np.array_equal(self.template_ids[mine], ids):
            return self._relabelled(np.flatnonzero(mine), current)
        arena = self._copied(~mine, coming=len(ids), spare=SPARE_ROWS)
        arena.write(current)
        arena.sort()
        return self._view(arena)

    def _relabelled(self, rows: NDArray[np.int64], current: Chunk) -> Self:
        """The same templates, some of which are of other pictures or people now."""
        arena = self._arena.with_ids(len(self))
        arena.ids[1, rows] = current.image_ids
        arena.ids[2, rows] = current.person_ids
        return self._view(arena)

    def _copied(self, keep: NDArray[np.bool_], coming: int, spare: int) -> _Arena:
        rows = np.flatnonzero(keep)
        kept, dimension = len(rows), self.embeddings.shape[1]
        arena = _Arena(kept + coming + spare, dimension, self._arena.measure, self._arena.directions)
        # 100,000 rows: take 25 ms, compress or a mask 400 ms. "clip", because "raise" would go through a second buffer.
        np.take(self.embeddings, rows, axis=0, out=arena.embeddings[:kept], mode="clip")
        arena.scales[:kept] = self.scales[rows]
        arena.columns[:, :kept] = self.columns[:, rows]
        for target, ids in zip(arena.ids, (self.template_ids, self.image_ids, self.person_ids), strict=True):
            target[:kept] = ids[rows]
        arena.used = kept
        return arena

    @classmethod
    def _view(cls, arena: _Arena) -> Self:
        used = arena.used
        embeddings, scales = arena.embeddings[:used], arena.scales[:used]
        columns, ids = arena.columns[:, :used], arena.ids[:, :used]
        for array in (embeddings, scales, columns, ids):
            array.flags.writeable = False
        return cls(embeddings, scales, columns, template_ids=ids[0], image_ids=ids[1], person_ids=ids[2], _arena=arena)
