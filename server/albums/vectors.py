"""Every face of an album as arrays, for clustering and search. Embeddings never change, so they are read once."""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_KEPT = 2  # albums whose embeddings stay in memory: 100,000 faces are 200 MB


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """Every face of an album at one instant, by number. `people`: -1 for one that has not been clustered.

    `embeddings`: (n, d) float32 of unit length, read-only; the others (n,).
    """

    ids: NDArray[np.int64]
    photos: NDArray[np.int64]
    people: NDArray[np.int64]
    placed: NDArray[np.bool_]
    embeddings: NDArray[np.float32]

    def rows_of(self, faces: Iterable[int]) -> NDArray[np.int64]:
        """Where these faces are, less those that are not here."""
        wanted = np.fromiter(faces, np.int64)
        return np.flatnonzero(np.isin(self.ids, wanted))

    def pairs(self, pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Pairs of faces as pairs of rows, less those that are not here."""
        row = {face: place for place, face in enumerate(self.ids.tolist())}
        return [(row[one], row[other]) for one, other in pairs if one in row and other in row]


class VectorStore:
    """Reads the faces of one spec; thread-safe. One album is read at a time, so that memory stays bounded."""

    def __init__(self, spec: int, dimension: int) -> None:
        self._spec = spec
        self._dimension = dimension
        self._reading = threading.Lock()  # guards the albums kept
        self._kept: OrderedDict[int, tuple[NDArray[np.int64], NDArray[np.float32]]] = OrderedDict()

    def of(self, db: sqlite3.Connection, album: int) -> Vectors:
        """All of an album's faces, in the view of the caller's transaction."""
        rows = db.execute(
            "SELECT f.id, f.photo_id, coalesce(f.person_id, -1), f.placed FROM faces f "
            "JOIN photos p ON p.id = f.photo_id JOIN detections d ON d.id = f.detection_id "
            "WHERE p.album_id = ? AND d.spec_id = ? ORDER BY f.id",
            (album, self._spec),
        ).fetchall()
        numbers = np.array([tuple(row) for row in rows], np.int64).reshape(len(rows), 4)
        with self._reading:
            embeddings = self._embeddings(db, album, numbers[:, 0])
        return Vectors(numbers[:, 0], numbers[:, 1], numbers[:, 2], numbers[:, 3].astype(bool), embeddings)

    def forget(self, album: int) -> None:
        """The album is gone."""
        with self._reading:
            self._kept.pop(album, None)

    def _embeddings(self, db: sqlite3.Connection, album: int, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        kept = self._kept.pop(album, None)
        if kept is None or not np.array_equal(kept[0], ids):
            kept = ids, self._read(db, album, len(ids))
        self._kept[album] = kept
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return kept[1]

    def _read(self, db: sqlite3.Connection, album: int, count: int) -> NDArray[np.float32]:
        embeddings = np.empty((count, self._dimension), np.float32)
        rows = db.execute(
            "SELECT d.embedding FROM faces f JOIN photos p ON p.id = f.photo_id "
            "JOIN detections d ON d.id = f.detection_id WHERE p.album_id = ? AND d.spec_id = ? ORDER BY f.id",
            (album, self._spec),
        )
        for place, row in enumerate(rows):  # a list of 100,000 blobs beside the matrix would double the memory
            embeddings[place] = np.frombuffer(row[0], "<f4")
        embeddings.flags.writeable = False
        return embeddings


def group_means(embeddings: NDArray[np.float32], groups: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    """(count, d): the mean direction of every group; `groups`: (n,) from 0 to count - 1."""
    sums = np.zeros((count, embeddings.shape[1]), np.float32)
    np.add.at(sums, groups, embeddings)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)
