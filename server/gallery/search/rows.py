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

from facewire.server.gallery.search.index import EXACT_BYTES, ExactIndex, Index, check_unit
from facewire.server.gallery.search.sketch import WORDS, SketchIndex, sketch

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


class Derived(NamedTuple):
    """What follows from embeddings and is needed to search among them. `scales`: (m,) float32, see `Rows.scales`;
    `sketches`: (m, WORDS) uint64, see `server.gallery.search.sketch`."""

    scales: NDArray[np.float32]
    sketches: NDArray[np.uint64] | None


Derive = Callable[[NDArray[np.float32], bool], Derived]
"""(m, d) embeddings -> what follows from them; with sketches where asked for."""

Measure = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(m, d) embeddings -> (m,) scales."""


def unscaled(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """The measure without a cohort: people are ranked by similarity."""
    return np.ones(len(embeddings), np.float32)


def derived_by(measure: Measure) -> Derive:
    """Everything computed, nothing remembered."""
    return lambda embeddings, sketched: Derived(measure(embeddings), sketch(embeddings) if sketched else None)


_UNSCALED = derived_by(unscaled)


class _Arena:
    """Room for `capacity` rows, of which the first `used` are written. Only a writer touches it, one at a time."""

    def __init__(self, capacity: int, dimension: int, *, sketched: bool) -> None:
        self.capacity = capacity
        self.used = 0
        self.embeddings = np.empty((capacity, dimension), dtype=np.float32)
        self.scales = np.empty(capacity, dtype=np.float32)
        # Word by word, as they are searched; none in a gallery that is searched exactly.
        self.sketches = np.empty((WORDS, capacity), dtype=np.uint64) if sketched else None
        self.ids = np.empty((3, capacity), dtype=np.int64)

    def write(self, chunk: Chunk, derive: Derive) -> None:
        end = self.used + len(chunk.embeddings)
        self.embeddings[self.used : end] = chunk.embeddings
        scales, sketches = derive(chunk.embeddings, self.sketches is not None)
        self.scales[self.used : end] = scales
        if self.sketches is not None and sketches is not None:
            self.sketches[:, self.used : end] = sketches.T
        self.ids[0, self.used : end] = chunk.template_ids
        self.ids[1, self.used : end] = chunk.image_ids
        self.ids[2, self.used : end] = chunk.person_ids
        self.used = end

    def sort(self) -> None:
        """Bring the rows into the order of their template ids."""
        order = np.argsort(self.ids[0, : self.used], kind="stable")
        self.embeddings[: self.used] = self.embeddings[order]
        self.scales[: self.used] = self.scales[order]
        if self.sketches is not None:
            self.sketches[:, : self.used] = self.sketches[:, order]
        self.ids[:, : self.used] = self.ids[:, order]

    def with_ids(self, rows: int) -> _Arena:
        """The first `rows` rows with ids that may be written to. The embeddings are shared, and the room behind them is
        the new one's: nothing can be added to this arena any more."""
        heir = _Arena(0, self.embeddings.shape[1], sketched=False)
        heir.embeddings, heir.scales, heir.sketches = self.embeddings, self.scales, self.sketches
        heir.ids = self.ids.copy()
        heir.capacity = self.capacity if self.used == rows else rows
        heir.used = rows
        self.used = self.capacity = -1
        return heir


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Read-only views. `embeddings`: (n, d) float32, C-contiguous, unit rows; the ids: (n,) int64, templates ascending.

    `scales`: (n,) float32, positive: (1 - similarity) / scale ranks templates; measured once, when a row comes in.
    `sketches`: (WORDS, n), or None in a gallery small enough to be searched exactly.
    """

    embeddings: NDArray[np.float32]
    scales: NDArray[np.float32]
    sketches: NDArray[np.uint64] | None
    template_ids: NDArray[np.int64]
    image_ids: NDArray[np.int64]
    person_ids: NDArray[np.int64]
    _arena: _Arena
    _derive: Derive
    _exact_bytes: int

    @classmethod
    def load(
        cls,
        count: int,
        dimension: int,
        chunks: Iterable[Chunk],
        derive: Derive = _UNSCALED,
        exact_bytes: int = EXACT_BYTES,
    ) -> Self:
        """`count` rows out of `chunks`, each written straight to its place, so that memory holds them once.

        Embeddings of more than `exact_bytes` are sketched, for they are searched by sketches. Raises ModelMismatch or
        ValueError (see `check_unit`) on rows that can't be compared.
        """
        capacity, large = count + count // SPARE_SHARE + SPARE_ROWS, count * dimension * 4 > exact_bytes
        arena = _Arena(capacity, dimension, sketched=large)
        for chunk in chunks:
            check_unit(chunk.embeddings, dimension)
            arena.write(chunk, derive)
        return cls._view(arena, derive, exact_bytes)

    def __len__(self) -> int:
        return len(self.template_ids)

    @property
    def index(self) -> Index:
        """The fastest search among them."""
        if self.sketches is None:
            return ExactIndex(self.embeddings, self.person_ids, self.scales)
        return SketchIndex(self.embeddings, self.person_ids, self.scales, self.sketches)

    def appended(self, chunk: Chunk) -> Self:
        """These rows and the chunk's. One writer at a time; readers of older rows are not disturbed."""
        check_unit(chunk.embeddings, self.embeddings.shape[1])
        arena = self._arena
        total = len(self) + len(chunk.embeddings)
        # Rows behind ours belong to newer Rows, so a second branch from here gets memory of its own.
        if arena.used != len(self) or total > arena.capacity:
            arena = self._copied(np.ones(len(self), bool), coming=total - len(self), spare=total // SPARE_SHARE)
        arena.write(chunk, self._derive)
        return self._view(arena, self._derive, self._exact_bytes)

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
        arena.write(current, self._derive)
        arena.sort()
        return self._view(arena, self._derive, self._exact_bytes)

    def _relabelled(self, rows: NDArray[np.int64], current: Chunk) -> Self:
        """The same templates, some of which are of other pictures or people now."""
        arena = self._arena.with_ids(len(self))
        arena.ids[1, rows] = current.image_ids
        arena.ids[2, rows] = current.person_ids
        return self._view(arena, self._derive, self._exact_bytes)

    def _copied(self, keep: NDArray[np.bool_], coming: int, spare: int) -> _Arena:
        rows = np.flatnonzero(keep)
        kept, dimension = len(rows), self.embeddings.shape[1]
        large = (kept + coming) * dimension * 4 > self._exact_bytes
        arena = _Arena(kept + coming + spare, dimension, sketched=large)
        # 100,000 rows: take 25 ms, compress or a mask 400 ms. "clip", because "raise" would go through a second buffer.
        np.take(self.embeddings, rows, axis=0, out=arena.embeddings[:kept], mode="clip")
        arena.scales[:kept] = self.scales[rows]
        if arena.sketches is not None:
            arena.sketches[:, :kept] = (
                sketch(arena.embeddings[:kept]).T if self.sketches is None else self.sketches[:, rows]
            )
        for target, ids in zip(arena.ids, (self.template_ids, self.image_ids, self.person_ids), strict=True):
            target[:kept] = ids[rows]
        arena.used = kept
        return arena

    @classmethod
    def _view(cls, arena: _Arena, derive: Derive, exact_bytes: int) -> Self:
        used = arena.used
        embeddings, scales, ids = arena.embeddings[:used], arena.scales[:used], arena.ids[:, :used]
        sketches = None if arena.sketches is None else arena.sketches[:, :used]
        for array in (embeddings, scales, ids) if sketches is None else (embeddings, scales, ids, sketches):
            array.flags.writeable = False
        return cls(
            embeddings, scales=scales, sketches=sketches, template_ids=ids[0], image_ids=ids[1], person_ids=ids[2],
            _arena=arena, _derive=derive, _exact_bytes=exact_bytes,
        )  # fmt: skip
