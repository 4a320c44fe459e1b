"""All faces of an album as arrays, for clustering and search. A detection's embedding never changes, so they are
cached."""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.server.albums.clarity import clarity
from facewire.server.albums.clustering import Scale
from facewire.server.gallery.search.cohort import Cohort, Statistics

_KEPT = 2  # albums whose embeddings are cached: 100,000 faces take 200 MB


_EMBEDDED = (
    "FROM faces f JOIN photos p ON p.id = f.photo_id JOIN detections d ON d.id = f.detection_id "
    "WHERE p.album_id = ? AND d.spec_id = ? AND length(d.embedding) > 0 ORDER BY f.id"
)


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """A snapshot of all faces of an album that have an embedding, sorted by id. `people`: -1 for a face not yet
    clustered.

    `embeddings`: (n, d) float32 of unit length, read-only; the others (n,).
    """

    ids: NDArray[np.int64]
    photos: NDArray[np.int64]
    people: NDArray[np.int64]
    placed: NDArray[np.bool_]
    loose: NDArray[np.bool_]
    """Faces whose person is provisional: found while more photos were to come."""
    embeddings: NDArray[np.float32]
    statistics: Statistics | None
    """The cohort's statistics of every face, None without a cohort."""
    scale: Scale
    """The similarity scale to use without a cohort."""
    clarity: NDArray[np.float64]
    """How much of its person each face shows."""

    def rows_of(self, faces: Iterable[int]) -> NDArray[np.int64]:
        """The rows of these faces; unknown faces are skipped."""
        wanted = np.fromiter(faces, np.int64)
        return np.flatnonzero(np.isin(self.ids, wanted))

    def pairs(self, pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Pairs of faces as pairs of rows; pairs with an unknown face are skipped."""
        row = {face: place for place, face in enumerate(self.ids.tolist())}
        return [(row[one], row[other]) for one, other in pairs if one in row and other in row]


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    detections: NDArray[np.int64]
    embeddings: NDArray[np.float32]
    statistics: Statistics | None


class VectorStore:
    """Reads the faces of one spec. Thread-safe. Albums are read one at a time, to bound memory."""

    def __init__(self, spec: int, dimension: int, cohort: Cohort | None, scale: Scale) -> None:
        self._scale = scale
        self._spec = spec
        self._dimension = dimension
        self._cohort = cohort
        self._reading = threading.Lock()  # guards the cached albums
        self._kept: OrderedDict[int, _Kept] = OrderedDict()

    def of(self, db: sqlite3.Connection, album: int) -> Vectors:
        """All of an album's faces that have an embedding, as seen by the caller's transaction."""
        rows = db.execute(
            "SELECT f.id, f.photo_id, coalesce(f.person_id, -1), f.placed, f.provisional, d.id, "
            f"min(d.w, d.h), d.detection, d.sharpness {_EMBEDDED}",
            (album, self._spec),
        ).fetchall()
        numbers = np.array([tuple(row)[:6] for row in rows], np.int64).reshape(len(rows), 6)
        seen = np.array([tuple(row)[6:] for row in rows], np.float64).reshape(len(rows), 3)
        with self._reading:
            kept = self._up_to_date(db, album, numbers[:, 5])
        placed, loose = numbers[:, 3].astype(bool), numbers[:, 4].astype(bool)
        ids, photos, people = numbers[:, 0], numbers[:, 1], numbers[:, 2]
        return Vectors(
            ids, photos, people, placed, loose, kept.embeddings, kept.statistics, self._scale, clarity(*seen.T)
        )

    def forget(self, album: int) -> None:
        """Drops a deleted album from the cache."""
        with self._reading:
            self._kept.pop(album, None)

    def _up_to_date(self, db: sqlite3.Connection, album: int, detections: NDArray[np.int64]) -> _Kept:
        kept = self._kept.pop(album, None)
        if kept is None or not np.array_equal(kept.detections, detections):
            embeddings = self._read(db, album, len(detections))
            kept = _Kept(detections, embeddings, self._measured(detections, embeddings, kept))
        self._kept[album] = kept
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return kept

    def _measured(
        self, detections: NDArray[np.int64], embeddings: NDArray[np.float32], before: _Kept | None
    ) -> Statistics | None:
        """The cohort's statistics. Those of known faces are reused: measuring 100,000 takes 10 s."""
        if self._cohort is None:
            return None
        if before is None or before.statistics is None:
            return self._cohort.statistics(embeddings)
        known, order = np.isin(detections, before.detections), np.argsort(before.detections)
        place = order[np.searchsorted(before.detections, detections[known], sorter=order)]
        fresh = self._cohort.statistics(embeddings[~known])
        merged = [np.empty(len(detections), np.float32) for _ in fresh]
        for target, old, new in zip(merged, before.statistics, fresh, strict=True):
            target[known], target[~known] = old[place], new
        return Statistics(*merged)

    def _read(self, db: sqlite3.Connection, album: int, count: int) -> NDArray[np.float32]:
        embeddings = np.empty((count, self._dimension), np.float32)
        rows = db.execute(f"SELECT d.embedding {_EMBEDDED}", (album, self._spec))
        for place, row in enumerate(rows):  # a list of 100,000 blobs in addition to the matrix would double the memory
            embeddings[place] = np.frombuffer(row[0], "<f4")
        embeddings.flags.writeable = False
        return embeddings


def group_means(embeddings: NDArray[np.float32], groups: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    """(count, d): the mean direction of every group; `groups`: (n,) from 0 to count - 1."""
    sums = np.zeros((count, embeddings.shape[1]), np.float32)
    np.add.at(sums, groups, embeddings)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def group_statistics(statistics: Statistics | None, groups: NDArray[np.int64], count: int) -> Statistics | None:
    """The statistics of the groups' means, approximated by the average of their members'."""
    if statistics is None:
        return None
    sizes = np.maximum(np.bincount(groups, minlength=count), 1)
    return Statistics(
        *(np.asarray(np.bincount(groups, each, minlength=count) / sizes, np.float32) for each in statistics)
    )
