"""The gallery's templates in memory: one float32 matrix, and whose each row is.

`Rows` never change for whoever holds them. Enrolling yields new `Rows` that share the old ones' memory: the new rows
are written behind the last row that anybody can see.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from server.gallery.index import check_unit

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


class _Arena:
    """Room for `capacity` rows, of which the first `used` are written. Only a writer touches it, one at a time."""

    def __init__(self, capacity: int, dimension: int) -> None:
        self.capacity = capacity
        self.used = 0
        self.embeddings = np.empty((capacity, dimension), dtype=np.float32)
        self.ids = np.empty((3, capacity), dtype=np.int64)

    def write(self, chunk: Chunk) -> None:
        end = self.used + len(chunk.embeddings)
        self.embeddings[self.used : end] = chunk.embeddings
        self.ids[0, self.used : end] = chunk.template_ids
        self.ids[1, self.used : end] = chunk.image_ids
        self.ids[2, self.used : end] = chunk.person_ids
        self.used = end

    def sort(self) -> None:
        """Bring the rows into the order of their template ids."""
        order = np.argsort(self.ids[0, : self.used], kind="stable")
        self.embeddings[: self.used] = self.embeddings[order]
        self.ids[:, : self.used] = self.ids[:, order]

    def with_ids(self, rows: int) -> _Arena:
        """The first `rows` rows with ids that may be written to. The embeddings are shared, and the room behind them is
        the new one's: nothing can be added to this arena any more."""
        heir = _Arena(0, self.embeddings.shape[1])
        heir.embeddings, heir.ids = self.embeddings, self.ids.copy()
        heir.capacity = self.capacity if self.used == rows else rows
        heir.used = rows
        self.used = self.capacity = -1
        return heir


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Read-only views. `embeddings`: (n, d) float32, C-contiguous, unit rows; the ids: (n,) int64, templates ascending.

    `lineage` is another number where a template came back that earlier rows had lost: whoever follows by the last id
    alone (the search graph) must look again. `highest`: the highest id that these or earlier rows ever had.
    """

    embeddings: NDArray[np.float32]
    template_ids: NDArray[np.int64]
    image_ids: NDArray[np.int64]
    person_ids: NDArray[np.int64]
    lineage: int
    highest: int
    _arena: _Arena

    @classmethod
    def load(cls, count: int, dimension: int, chunks: Iterable[Chunk], lineage: int = 0) -> Self:
        """`count` rows out of `chunks`, each written straight to its place, so that memory holds them once.

        Raises ModelMismatch or ValueError (see `check_unit`) on rows that can't be compared.
        """
        arena = _Arena(count + count // SPARE_SHARE + SPARE_ROWS, dimension)
        for chunk in chunks:
            check_unit(chunk.embeddings, dimension)
            arena.write(chunk)
        return cls._view(arena, lineage, int(arena.ids[0, arena.used - 1]) if arena.used else 0)

    def __len__(self) -> int:
        return len(self.template_ids)

    def appended(self, chunk: Chunk) -> Self:
        """These rows and the chunk's. One writer at a time; readers of older rows are not disturbed."""
        check_unit(chunk.embeddings, self.embeddings.shape[1])
        arena = self._arena
        total = len(self) + len(chunk.embeddings)
        # Rows behind ours belong to newer Rows, so a second branch from here gets memory of its own.
        if arena.used != len(self) or total > arena.capacity:
            arena = self._copied(np.ones(len(self), dtype=bool), spare=total - len(self) + total // SPARE_SHARE)
        arena.write(chunk)
        return self._after(arena, chunk.template_ids)

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
        arena = self._copied(~mine, spare=len(ids) + SPARE_ROWS)
        arena.write(current)
        arena.sort()
        return self._after(arena, ids[~np.isin(ids, self.template_ids)])

    def _relabelled(self, rows: NDArray[np.int64], current: Chunk) -> Self:
        """The same templates, some of which are of other pictures or people now."""
        arena = self._arena.with_ids(len(self))
        arena.ids[1, rows] = current.image_ids
        arena.ids[2, rows] = current.person_ids
        return self._after(arena, ())

    def _after(self, arena: _Arena, came: Sequence[int] | NDArray[np.int64]) -> Self:
        """The rows that follow on these, some of which `came`, in ascending order."""
        returned = len(came) > 0 and came[0] <= self.highest
        highest = max(self.highest, int(came[-1])) if len(came) else self.highest
        return self._view(arena, self.lineage + returned, highest)

    def _copied(self, keep: NDArray[np.bool_], spare: int) -> _Arena:
        rows = np.flatnonzero(keep)
        kept = len(rows)
        arena = _Arena(kept + spare, self.embeddings.shape[1])
        # 100,000 rows: take 25 ms, compress or a mask 400 ms. "clip", because "raise" would go through a second buffer.
        np.take(self.embeddings, rows, axis=0, out=arena.embeddings[:kept], mode="clip")
        for target, ids in zip(arena.ids, (self.template_ids, self.image_ids, self.person_ids), strict=True):
            target[:kept] = ids[rows]
        arena.used = kept
        return arena

    @classmethod
    def _view(cls, arena: _Arena, lineage: int, highest: int) -> Self:
        embeddings, ids = arena.embeddings[: arena.used], arena.ids[:, : arena.used]
        embeddings.flags.writeable = False
        ids.flags.writeable = False
        return cls(
            embeddings, template_ids=ids[0], image_ids=ids[1], person_ids=ids[2],
            lineage=lineage, highest=highest, _arena=arena,
        )  # fmt: skip
