"""The gallery's templates in memory: one float32 matrix plus the owner of each row.

`Rows` are immutable for their holders. Enrolling creates new `Rows` that share the old ones' memory: the new rows are
written after the last row visible to anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from facewire.server.gallery.search.bounded import BoundedIndex
from facewire.server.gallery.search.directions import WIDTH, Directions
from facewire.server.gallery.search.index import ExactIndex, Index, check_unit
from facewire.server.gallery.search.owners import Owners
from facewire.server.gallery.search.packed import Packed

SPARE_SHARE = 4
"""A full matrix is copied into one that is larger by a quarter: the cost per enrolment stays low, and memory that was
never written to is not resident."""

SPARE_ROWS = 256
"""Spare rows in a small or empty gallery: half a megabyte at 512 dimensions."""


def roomy(rows: int) -> int:
    """The capacity of a matrix made for this many rows."""
    return rows + rows // SPARE_SHARE + SPARE_ROWS


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


def _ahead(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The same chunks; the next one is read in a thread of its own meanwhile."""
    reading = iter(chunks)
    with ThreadPoolExecutor(1, "facewire-reading") as pool:
        coming = pool.submit(next, reading, None)
        while (chunk := coming.result()) is not None:
            coming = pool.submit(next, reading, None)
            yield chunk


class _Arena:
    """Memory for `capacity` rows, of which the first `used` are written. Only used by the writer, one at a time."""

    def __init__(self, capacity: int, dimension: int, measure: Measure, directions: Directions | None) -> None:
        self.capacity = capacity
        self.used = 0
        self.measure = measure
        self.directions = directions
        self.embeddings = np.empty((capacity, dimension), dtype=np.float32)
        self.scales = np.empty(capacity, dtype=np.float32)
        self.codes = np.empty((capacity, WIDTH if directions else 0), dtype=np.int8)
        self.packed = Packed()
        self.owners = Owners()
        self.ids = np.empty((3, capacity), dtype=np.int64)

    def write(self, chunk: Chunk) -> None:
        end = self.used + len(chunk.embeddings)
        self.embeddings[self.used : end] = chunk.embeddings
        scales = self.measure(chunk.embeddings)
        self.scales[self.used : end] = scales
        if self.directions is not None:
            self.codes[self.used : end] = self.directions.codes(chunk.embeddings, scales)
        self.ids[0, self.used : end] = chunk.template_ids
        self.ids[1, self.used : end] = chunk.image_ids
        self.ids[2, self.used : end] = chunk.person_ids
        self.used = end

    def sort(self) -> None:
        """Sort the rows by template id."""
        order = np.argsort(self.ids[0, : self.used], kind="stable")
        self.embeddings[: self.used] = self.embeddings[order]
        self.scales[: self.used] = self.scales[order]
        self.codes[: self.used] = self.codes[order]
        self.ids[:, : self.used] = self.ids[:, order]

    def with_ids(self, rows: int) -> _Arena:
        """The first `rows` rows with ids that may be modified. The embeddings are shared, and the new arena takes over
        the spare capacity: nothing can be added to the old one afterwards."""
        heir = _Arena(0, self.embeddings.shape[1], self.measure, self.directions)
        heir.embeddings, heir.scales, heir.codes = self.embeddings, self.scales, self.codes
        heir.packed = self.packed
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
    scale. `codes`: (n, WIDTH), see `Directions.codes`; (n, 0) without directions.
    """

    embeddings: NDArray[np.float32]
    scales: NDArray[np.float32]
    codes: NDArray[np.int8]
    template_ids: NDArray[np.int64]
    image_ids: NDArray[np.int64]
    person_ids: NDArray[np.int64]
    _packed: Packed
    _owners: Owners
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
        arena = _Arena(roomy(count), dimension, measure, directions)
        for chunk in _ahead(chunks):
            check_unit(chunk.embeddings, dimension)
            arena.write(chunk)
        return cls._view(arena)

    @classmethod
    def over(
        cls,
        embeddings: NDArray[np.float32],
        scales: NDArray[np.float32],
        codes: NDArray[np.int8],
        ids: NDArray[np.int64],
        measure: Measure,
        directions: Directions,
    ) -> Self:
        """Rows as an earlier process had them, with `codes` by `directions`; `ids`: (3, n) of template, picture and
        person. The embeddings, (capacity, d), are used where they are, and written to where rows are added."""
        count, (capacity, dimension) = len(scales), embeddings.shape
        arena = _Arena(0, dimension, measure, directions)
        arena.embeddings, arena.capacity, arena.used = embeddings, capacity, count
        arena.scales = np.empty(capacity, np.float32)
        arena.codes = np.empty((capacity, WIDTH), np.int8)
        arena.ids = np.empty((3, capacity), np.int64)
        arena.scales[:count], arena.codes[:count], arena.ids[:, :count] = scales, codes, ids
        return cls._view(arena)

    def __len__(self) -> int:
        return len(self.template_ids)

    def continues(self, other: Rows) -> bool:
        """Whether these are the other's templates, and those that were added to them."""
        return self._arena.embeddings is other._arena.embeddings

    @property
    def directions(self) -> Directions | None:
        """The directions of the codes."""
        return self._arena.directions

    @property
    def index(self) -> Index:
        """The fastest index over these rows."""
        directions = self._arena.directions
        if directions is None:
            return ExactIndex(self.embeddings, self.person_ids, self.scales)
        return BoundedIndex(self.embeddings, self.person_ids, self.scales, self.codes, self._packed, directions)

    def of_people(self, people: Sequence[int]) -> list[NDArray[np.int64]]:
        """The rows of each of these people, ascending."""
        return self._owners.rows_of(people, self.person_ids)

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
        np.take(self.codes, rows, axis=0, out=arena.codes[:kept], mode="clip")
        for target, ids in zip(arena.ids, (self.template_ids, self.image_ids, self.person_ids), strict=True):
            target[:kept] = ids[rows]
        arena.used = kept
        return arena

    @classmethod
    def _view(cls, arena: _Arena) -> Self:
        used = arena.used
        embeddings, scales = arena.embeddings[:used], arena.scales[:used]
        codes, ids = arena.codes[:used], arena.ids[:, :used]
        for array in (embeddings, scales, codes, ids):
            array.flags.writeable = False
        if arena.directions is not None:
            arena.packed = arena.packed.covering(codes)
        arena.owners = arena.owners.covering(ids[2])
        return cls(
            embeddings,
            scales,
            codes,
            template_ids=ids[0],
            image_ids=ids[1],
            person_ids=ids[2],
            _packed=arena.packed,
            _owners=arena.owners,
            _arena=arena,
        )
