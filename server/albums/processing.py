"""Processes an album: detects the faces in all waiting photos, then groups them. Resumes after a restart."""

from __future__ import annotations

import logging

from facewire.protocol.albums.collection import AlbumInfo
from facewire.server.albums import catalogue, faces
from facewire.server.albums.database import Database, spec_id
from facewire.server.albums.jobs import Job, Stopped
from facewire.server.albums.originals import Originals
from facewire.server.albums.poison import MOST_DEATHS, PoisonGuard
from facewire.server.albums.regrouping import regroup
from facewire.server.albums.vectors import VectorStore
from facewire.server.errors import InvalidImage
from facewire.server.gallery.records import NewTemplate
from facewire.server.vision.engine import Engine

_log = logging.getLogger("facewire.albums")

_PAGE = 256  # photo ids read at a time
_POISON = f"the server died {MOST_DEATHS} times while it looked at this picture"


class Processing:
    """Turns waiting photos into faces, and faces into people. Only one thread calls `run`; the rest is thread-safe."""

    def __init__(
        self, db: Database, originals: Originals, engine: Engine, vectors: VectorStore, guard: PoisonGuard
    ) -> None:
        """`vectors`: of the engine's spec."""
        self._guard = guard
        self._db = db
        self._originals = originals
        self._engine = engine
        self._vectors = vectors
        with db.writing() as writer:
            self._spec = spec_id(writer, engine.spec)
            # The model has changed: detect all faces again. They keep their people.
            writer.execute(
                "UPDATE photos SET state = 'waiting' WHERE state IN ('faces', 'no_faces') AND NOT EXISTS "
                "(SELECT 1 FROM looked l WHERE l.sha256 = photos.sha256 AND l.spec_id = ?)",
                (self._spec,),
            )
            writer.executemany(
                "UPDATE photos SET state = 'unreadable', reason = ? WHERE sha256 = ? AND state = 'waiting'",
                [(_POISON, sha256) for sha256 in guard.culprits],
            )
        for sha256 in guard.culprits:
            guard.forget(sha256)

    def ask(self, album: int, *, again: bool) -> None:
        """Records on disk that the album must be processed; `again`: retry unreadable photos, too."""
        with self._db.writing() as db:
            catalogue.must_exist(db, album)
            db.execute("INSERT OR IGNORE INTO jobs VALUES (?)", (album,))
            if again:
                db.execute(
                    "UPDATE photos SET state = 'waiting', reason = NULL WHERE album_id = ? AND state = 'unreadable'",
                    (album,),
                )

    def asked(self) -> list[int]:
        """The albums that must be processed."""
        with self._db.reading() as db:
            return [row[0] for row in db.execute("SELECT album_id FROM jobs ORDER BY album_id")]

    def run(self, album: int, job: Job) -> AlbumInfo:
        """Works until no photo is waiting. Raises UnknownAlbum if the album is deleted, Stopped if the server stops."""
        while True:
            self._look_at_all(album, job)
            job.at("people", job.state.done, job.state.total, **job.state.details)
            regroup(self._db, album, self._vectors)
            job.sealed = True
            with self._db.writing() as db:
                info = catalogue.info(db, album, processing=False)
                if not info.waiting:
                    db.execute("DELETE FROM jobs WHERE album_id = ?", (album,))
                    return info
            job.sealed = False

    def _look_at_all(self, album: int, job: Job) -> None:
        done = found = unreadable = 0
        while True:
            with self._db.reading() as db:
                catalogue.must_exist(db, album)
                suspects = self._guard.suspects  # suspects come last
                page = db.execute(
                    "SELECT id, sha256 FROM photos WHERE album_id = ? AND state = 'waiting' "
                    f"ORDER BY sha256 IN ({', '.join('?' * len(suspects))}), id LIMIT ?",
                    (album, *suspects, _PAGE),
                ).fetchall()
                waiting = catalogue.info(db, album, processing=True).waiting
            if not page:
                return
            for place, (photo, sha256) in enumerate(page):
                job.at("faces", done, done + waiting - place, faces=found, unreadable=unreadable)
                count = self._look_at(photo, sha256, job)
                done, found, unreadable = done + 1, found + (count or 0), unreadable + (count is None)
            job.at("faces", done, done + waiting - len(page), faces=found, unreadable=unreadable)

    def _look_at(self, photo: int, sha256: str, job: Job) -> int | None:
        """The number of faces, or None if the photo can't be read. The result is on disk when this returns."""
        with self._db.reading() as db:
            known = faces.was_looked_at(db, sha256, self._spec)
        found: list[NewTemplate] = []
        if not known:
            try:
                with self._guard.looking_at(sha256):
                    found = job.patiently(lambda: self._find(sha256))
            except Stopped:
                raise
            except Exception as error:  # noqa: BLE001 - a picture on which a network fails must not stop the album
                with self._db.writing() as db:
                    reason = _reason(error)
                    db.execute("UPDATE photos SET state = 'unreadable', reason = ? WHERE id = ?", (reason, photo))
                return None
        with self._db.writing() as db:
            if db.execute("SELECT 1 FROM photos WHERE id = ?", (photo,)).fetchone() is None:
                return 0  # removed meanwhile
            if not known and not faces.was_looked_at(db, sha256, self._spec):
                faces.store_detections(db, sha256, self._spec, found)
            return faces.attach(db, photo, sha256, self._spec)

    def _find(self, sha256: str) -> list[NewTemplate]:
        picture = self._engine.faces(self._originals.read(sha256))
        if not picture.faces:
            return []
        embeddings = self._engine.templates([face.crop for face in picture.faces])
        return [
            NewTemplate(embedding, face.box, face.landmarks, float(face.detection))
            for embedding, face in zip(embeddings, picture.faces, strict=True)
        ]


def _reason(error: Exception) -> str:
    """Why a photo is unreadable. A bug of ours is logged."""
    if isinstance(error, InvalidImage):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "the original is not on the disk any more"
    _log.error("a picture can't be looked at", exc_info=error)
    return "the server failed on this picture; its log says more"
