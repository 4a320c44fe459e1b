"""The gallery's templates in memory: one float32 matrix plus the owner of each row.

`Rows` are immutable for their holders. Enrolling creates new `Rows` that share the old ones' memory: the new rows are
written after the last row visible to anybody.
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
"""A full matrix is copied into one that is larger by a quarter: the cost per enrolment stays low, and memory that was
never written to is not resident."""

SPARE_ROWS = 256
"""Spare rows in a small or empty gallery: half a megabyte at 512 dimensions."""


class Chunk(NamedTuple):
    """A batch of rows to add. `embeddings`: (m, d) float32; the ids: one per row."""

    embeddings: NDArray[np.float32]
    template_ids: Sequence[int]
    image_ids: Sequence[int]
    person_ids: Sequence[int]


Measure = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(m, d) embeddings -> (m,) scales."""


def unscaled(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """The measure without a cohort: all scales are 1, so people are ranked by similarity."""
    return np.ones(len(embeddings), np.float32)


class _Arena:
    """Memory for `capacity` rows, of which the first `used` are written. Only used by the writer, one at a time."""

    def __init__(self, capacity: int, dimension: int, measure: Measure, directions: Directions | None) -> None:
        self.capacity = capacity
        self.used = 0
        self.measure = measure
        self.directions = directions
        self.embeddings = np.empty((capacity, dimension), dtype=np.float32)
        self.scales = np.empty(capacity, dtype=np.float32)
        # Stored by direction, the order in which search reads them.
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
        """Sort the rows by template id."""
        order = np.argsort(self.ids[0, : self.used], kind="stable")
        self.embeddings[: self.used] = self.embeddings[order]
        self.scales[: self.used] = self.scales[order]
        self.columns[:, : self.used] = self.columns[:, order]
        self.ids[:, : self.used] = self.ids[:, order]

    def with_ids(self, rows: int) -> _Arena:
        """The first `rows` rows with ids that may be modified. The embeddings are shared, and the new arena takes over
        the spare capacity: nothing can be added to the old one afterwards."""
        heir = _Arena(0, self.embeddings.shape[1], self.measure, self.directions)
        heir.embeddings, heir.scales, heir.columns = self.embeddings, self.scales, self.columns
        heir.ids = self.ids.copy()
        heir.capacity = self.capacity if self.used == rows else rows
        heir.used = rows
        self.used = self.capacity = -1
        return heir


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Read-only views. `embeddings`: (n, d) float32, C-contiguous, unit rows; the ids: (n,) int64, ascending by
    template.

    `scales`: (n,) float32, positive, measured once when a row is added; templates are ranked by (1 - similarity) /
    scale. `columns`: (r + 2, n), see `Directions.columns`; (0, n) without directions.
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
        """Loads `count` rows from `chunks`, writing each straight to its place, so that memory holds them only once.

        With `directions`, search uses them. Raises ModelMismatch or ValueError (see `check_unit`) on rows that can't be
        compared.
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
        """The fastest index over these rows."""
        directions = self._arena.directions
        if directions is None:
            return ExactIndex(self.embeddings, self.person_ids, self.scales)
        return DirectionsIndex(self.embeddings, self.person_ids, self.scales, self.columns, directions)

    def appended(self, chunk: Chunk) -> Self:
        """These rows plus the chunk's. One writer at a time; readers of older rows are unaffected."""
        check_unit(chunk.embeddings, self.embeddings.shape[1])
        arena = self._arena
        total = len(self) + len(chunk.embeddings)
        # Rows after ours belong to newer Rows, so a second branch from here gets its own memory.
        if arena.used != len(self) or total > arena.capacity:
            arena = self._copied(np.ones(len(self), bool), coming=total - len(self), spare=total // SPARE_SHARE)
        arena.write(chunk)
        return self._view(arena)

    def edited(self, touched: NDArray[np.int64], current: Chunk) -> Self:
        """These rows with the `touched` templates (ascending ids) replaced by their `current` state; those missing
        there were deleted.

        One writer at a time; readers of older rows are unaffected. The result's ids ascend.
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
        """The same templates, some of which now belong to other pictures or people."""
        arena = self._arena.with_ids(len(self))
        arena.ids[1, rows] = current.image_ids
        arena.ids[2, rows] = current.person_ids
        return self._view(arena)

    def _copied(self, keep: NDArray[np.bool_], coming: int, spare: int) -> _Arena:
        rows = np.flatnonzero(keep)
        kept, dimension = len(rows), self.embeddings.shape[1]
        arena = _Arena(kept + coming + spare, dimension, self._arena.measure, self._arena.directions)
        # 100,000 rows: take needs 25 ms, compress or a mask 400 ms. "clip", because "raise" copies through a second
        # buffer.
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
