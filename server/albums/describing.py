"""What photos show, as vectors of a CLIP model: made for each photo in the background, and compared with a text."""

from __future__ import annotations

import sqlite3
from functools import partial

import numpy as np

from facewire.server.albums import faces
from facewire.server.albums.database import Database
from facewire.server.albums.pictures import decoded
from facewire.server.albums.settings import AlbumLimits
from facewire.server.albums.stills import Stills
from facewire.server.errors import InvalidImage
from facewire.server.jobs import Job
from facewire.server.vision.clip import Clip
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.runtime import Floats

# Not a migration: an older version can do without it, and by the reference removes a photo's row, too.
_TABLE = (
    "CREATE TABLE IF NOT EXISTS clip_vectors (sha256 TEXT PRIMARY KEY REFERENCES blobs(sha256) ON DELETE CASCADE, "
    "model TEXT NOT NULL, vector BLOB NOT NULL) WITHOUT ROWID"
)
_LACKING = (
    "FROM photos p JOIN blobs b USING (sha256) LEFT JOIN clip_vectors v USING (sha256) "
    "WHERE p.state IN ('faces', 'no_faces') AND v.sha256 IS NULL"
)
_PAGE = 256  # photos read at a time, in the background
_ROWS = 4096  # vectors compared at a time: 8 MB
_NOTHING = b""  # of a photo that can't be read any more


class Describing:
    """Thread-safe."""

    def __init__(self, db: Database, stills: Stills, decoder: Decoder, clip: Clip, limits: AlbumLimits) -> None:
        """Forgets the vectors of any other model."""
        self._db = db
        self._stills = stills
        self._decoder = decoder
        self._clip = clip
        self._limits = limits
        with db.writing() as writer:
            writer.execute(_TABLE)
            writer.execute("DELETE FROM clip_vectors WHERE model != ?", (clip.fingerprint,))

    def lacking(self) -> list[int]:
        """The albums that have photos without a vector."""
        with self._db.reading() as db:
            return [row[0] for row in db.execute(f"SELECT DISTINCT p.album_id {_LACKING} ORDER BY 1")]

    def run(self, album: int, job: Job) -> None:
        """Describes the album's photos, one after the other. Raises Stopped; `lacking` tells of what is left."""
        done = 0
        while True:
            with self._db.reading() as db:
                (left,) = db.execute(f"SELECT count(*) {_LACKING} AND p.album_id = ?", (album,)).fetchone()
                page = db.execute(
                    "SELECT p.sha256, (SELECT seconds FROM videos WHERE sha256 = p.sha256) AS seconds "
                    f"{_LACKING} AND p.album_id = ? LIMIT ?",
                    (album, _PAGE),
                ).fetchall()
            if not page:
                return
            for place, row in enumerate(page):
                job.at("text", done, done + left - place)
                vector = job.patiently(partial(self._vector, row["sha256"], row["seconds"]))
                with self._db.writing() as db:
                    db.execute(
                        "INSERT OR IGNORE INTO clip_vectors SELECT sha256, ?, ? FROM blobs WHERE sha256 = ?",
                        (self._clip.fingerprint, vector, row["sha256"]),
                    )
                done += 1

    def wanted(self, text: str) -> Floats:
        """(d,), the text's vector."""
        return self._clip.text(text)

    def similarities(self, db: sqlite3.Connection, album: int, wanted: Floats) -> dict[int, float]:
        """Of every photo that has a vector: the cosine of the angle between it and `wanted`."""
        rows = db.execute(
            "SELECT p.id, v.vector FROM photos p JOIN clip_vectors v USING (sha256) "
            "WHERE p.album_id = ? AND v.vector != ?",
            (album, _NOTHING),
        )
        found: dict[int, float] = {}
        while some := rows.fetchmany(_ROWS):
            vectors = np.frombuffer(b"".join(row["vector"] for row in some), "<f2").reshape(len(some), -1)
            cosines = vectors.astype(np.float32) @ wanted
            found |= zip((row["id"] for row in some), cosines.tolist(), strict=True)
        return found

    def _vector(self, sha256: str, seconds: float | None) -> bytes:
        """As half precision, which moves a cosine by less than 0.001. Of a video, what its tile shows."""
        with self._db.reading() as db:
            at = None if seconds is None else faces.poster_at(db, sha256, seconds)
        try:
            picture = self._stills.picture(sha256, at)
            pixels = decoded(self._decoder, picture, self._limits, max(self._clip.preprocessing.size))
        except (InvalidImage, FileNotFoundError):
            return _NOTHING
        return self._clip.picture(pixels).astype("<f2").tobytes()
