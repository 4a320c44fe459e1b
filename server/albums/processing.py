"""Processes an album: detects the faces in all waiting photos, then groups them. Resumes after a restart."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.albums.collection import AlbumInfo
from facewire.server.albums import catalogue, detections, faces, metadata
from facewire.server.albums.database import Database, spec_id
from facewire.server.albums.detections import NewFace
from facewire.server.albums.drawing import look_at_boxes
from facewire.server.albums.grouping import Grouping
from facewire.server.albums.originals import Originals
from facewire.server.albums.poison import MOST_DEATHS, PoisonGuard
from facewire.server.albums.regrouping import regroup
from facewire.server.albums.vectors import VectorStore
from facewire.server.errors import InvalidImage
from facewire.server.gallery.records import Box, NewTemplate
from facewire.server.jobs import Job, Stopped
from facewire.server.vision.decoding.on_disk import OnDisk
from facewire.server.vision.engine import Engine, Face
from facewire.server.vision.watching import Watch

_log = logging.getLogger("facewire.albums")

_PAGE = 256  # photo ids read at a time
_FIRST_PEOPLE_S = 2.0  # of processing, after which the first people are shown
_PEOPLE_S = 5.0  # at least, between two times that people are shown
_POISON = f"the server crashed {MOST_DEATHS} times while processing this picture"


class Processing:
    """Turns waiting photos into faces, and faces into people. Only one thread calls `run`; the rest is thread-safe."""

    def __init__(
        self,
        db: Database,
        originals: Originals,
        engine: Engine,
        vectors: VectorStore,
        guard: PoisonGuard,
        group: Grouping,
    ) -> None:
        """`vectors`: of the engine's spec; `group`: groups the faces of a video."""
        self._group = group
        self._guard = guard
        self._db = db
        self._originals = originals
        self._engine = engine
        self._vectors = vectors
        self._rhythms: dict[int, _Rhythm] = {}  # of albums whose people are provisional; of `run`'s thread only
        with db.writing() as writer:
            self._spec = spec_id(writer, engine.spec)
            # The model has changed: detect all faces again. They keep their people.
            writer.execute(
                "UPDATE photos SET state = 'waiting' WHERE state IN ('faces', 'no_faces') AND NOT EXISTS "
                "(SELECT 1 FROM looked l WHERE l.sha256 = photos.sha256 AND l.spec_id = ?)",
                (self._spec,),
            )
            # A drawn face that undo brought back from before.
            writer.execute(
                "UPDATE photos SET state = 'waiting' WHERE state IN ('faces', 'no_faces') AND id IN "
                "(SELECT w.photo_id FROM drawn w JOIN detections d ON d.id = w.detection_id "
                "JOIN faces f ON f.detection_id = d.id WHERE d.spec_id <> ?)",
                (self._spec,),
            )
            writer.executemany(
                "UPDATE photos SET state = 'unreadable', reason = ? WHERE sha256 = ? AND state = 'waiting'",
                [(_POISON, sha256) for sha256 in guard.poisonous],
            )
        for sha256 in guard.poisonous:
            guard.forget(sha256)

    def ask(self, album: int, *, again: bool, provisional: bool = False) -> None:
        """Records on disk that the album must be processed; `again`: retry unreadable photos, too; `provisional`: more
        photos are to come."""
        with self._db.writing() as db:
            catalogue.must_exist(db, album)
            if again:
                db.execute(
                    "UPDATE photos SET state = 'waiting', reason = NULL WHERE album_id = ? AND state = 'unreadable'",
                    (album,),
                )
            db.execute(
                "INSERT OR IGNORE INTO jobs (album_id, settles, settled) VALUES (?, 0, "
                "(SELECT count(*) FROM photos WHERE album_id = ? AND state <> 'waiting'))",
                (album, album),
            )
            if not provisional:
                db.execute("UPDATE jobs SET settles = 1 WHERE album_id = ?", (album,))

    def asked(self) -> list[int]:
        """The albums that must be processed."""
        with self._db.reading() as db:
            return [row[0] for row in db.execute("SELECT album_id FROM jobs ORDER BY album_id")]

    def run(self, album: int, job: Job) -> AlbumInfo:
        """Works until no photo is waiting. Raises UnknownAlbum if the album is deleted, Stopped if the server stops."""
        while True:
            self._look_at_all(album, job)
            self._take_names(album, job)
            job.at("people", job.state.done, job.state.total, **job.state.details)
            with self._db.reading() as reader:
                settle = _settles(reader, album)
            if settle:
                regroup(self._db, album, self._vectors)
                self._rhythms.pop(album, None)
            elif self._rhythms[album].is_due():  # else these faces wait for more of them
                self._group_provisionally(album)
            job.joinable = False
            with self._db.writing() as db:
                info = catalogue.info(db, album, processing=False)
                if not info.waiting and _settles(db, album) == settle:
                    db.execute("DELETE FROM jobs WHERE album_id = ?", (album,))
                    return replace(info, processed=0)
            job.joinable = True

    def _group_provisionally(self, album: int) -> None:
        with self._rhythms[album].grouping():
            regroup(self._db, album, self._vectors, settle=False)

    def _look_at_all(self, album: int, job: Job) -> None:
        found = unreadable = 0
        rhythm = self._rhythms.setdefault(album, _Rhythm())
        while True:
            with self._db.reading() as db:
                catalogue.must_exist(db, album)
                suspects = self._guard.suspects  # suspects come last
                page = db.execute(
                    "SELECT id, sha256 FROM photos WHERE album_id = ? AND state = 'waiting' "
                    f"ORDER BY sha256 IN ({', '.join('?' * len(suspects))}), id LIMIT ?",
                    (album, *suspects, _PAGE),
                ).fetchall()
                info = catalogue.info(db, album, processing=True)
            done, total = info.processed, info.processed + info.waiting
            if not page:
                return
            for place, (photo, sha256) in enumerate(page):
                job.at("faces", done + place, total, faces=found, unreadable=unreadable)
                count = self._look_at(photo, sha256, job)
                found, unreadable = found + (count or 0), unreadable + (count is None)
                if rhythm.is_due(_PEOPLE_S):  # people appear while it goes on
                    self._group_provisionally(album)
            job.at("faces", done + len(page), total, faces=found, unreadable=unreadable)

    def _take_names(self, album: int, job: Job) -> None:
        """Takes over the names that the photos' metadata have, where that was wanted when they were added."""
        metadata.take_over(
            self._db, album, lambda sha256, boxes: job.patiently(lambda: self._look_again(sha256, boxes)), self._spec
        )

    def _look_at(self, photo: int, sha256: str, job: Job) -> int | None:
        """The number of faces, or None if the photo can't be read. The result is on disk when this returns."""
        with self._db.reading() as db:
            known = detections.was_looked_at(db, sha256, self._spec)
            drawn = detections.drawn_for_other_models(db, photo, self._spec)
        found: list[NewFace] = []
        again: list[NewTemplate] = []
        if drawn or not known:
            try:
                with self._guard.looking_at(sha256):
                    if not known:
                        found = job.patiently(lambda: self._find(sha256, job))
                    again = job.patiently(lambda: self._look_again(sha256, [box for _, box in drawn]))
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
            if not known and not detections.was_looked_at(db, sha256, self._spec):
                detections.store_detections(db, sha256, self._spec, found)
            there = dict(faces.boxes_of(db, photo))
            for (face, box), template in zip(drawn, again, strict=True):
                if there.get(face) == box:  # neither moved nor removed meanwhile
                    detections.set_detection(db, face, detections.store_drawn(db, photo, sha256, self._spec, template))
            return detections.attach(db, photo, sha256, self._spec)

    def _find(self, sha256: str, job: Job) -> list[NewFace]:
        with self._originals.opened(sha256) as file:
            if file.video_format is not None:
                return self._find_in_video(file, job)
        picture = self._engine.faces(self._originals.read(sha256))
        if not picture.faces:
            return []
        return [
            NewFace(
                NewTemplate(embedding, face.box, face.landmarks, float(face.detection)),
                sharpness=self._engine.quality(face, picture).sharpness,
            )
            for embedding, face in zip(self._embed(picture.faces), picture.faces, strict=True)
        ]

    def _look_again(self, sha256: str, boxes: Sequence[Box]) -> list[NewTemplate]:
        """What this model sees in boxes that were drawn, or come from metadata."""
        return look_at_boxes(self._engine, self._originals.read(sha256), boxes) if boxes else []

    def _find_in_video(self, video: OnDisk, job: Job) -> list[NewFace]:
        """The people in a video. Raises Stopped between two frames; the video is then begun again at the next start."""
        watch = Watch(
            self._engine.decoder.films,
            lambda frame: job.patiently(lambda: self._engine.faces(frame)),
            lambda faces: job.patiently(lambda: self._embed(faces)),
            self._group,
        )
        with closing(watch.frames(video)) as frames:
            for _ in frames:
                job.counted(job.state.done, job.state.total)
        found = []
        for person in watch.result().people:
            best = person.best
            template = NewTemplate(person.embedding, best.box, best.landmarks, best.detection)
            found.append(NewFace(template, best.at, person.when))
        return found

    def _embed(self, found: Sequence[Face]) -> NDArray[np.float32]:
        return self._engine.templates([face.crop for face in found])


class _Rhythm:
    """When to group an album's faces provisionally: so seldom that it takes a tenth of the time at most."""

    def __init__(self) -> None:
        self._ended = time.monotonic() - _PEOPLE_S + _FIRST_PEOPLE_S
        self._took = 0.0

    def is_due(self, pause: float = 0.0) -> bool:
        """Is it time? `pause`: at least so many seconds after the last time."""
        return time.monotonic() - self._ended >= max(pause, 10 * self._took)

    @contextmanager
    def grouping(self) -> Iterator[None]:
        """Measures what a grouping takes."""
        begun = time.monotonic()
        yield
        self._ended = time.monotonic()
        self._took = self._ended - begun


def _settles(db: sqlite3.Connection, album: int) -> bool:
    """Was it asked to end with people settled, as no more photos are to come? Raises UnknownAlbum."""
    catalogue.must_exist(db, album)
    row = db.execute("SELECT settles FROM jobs WHERE album_id = ?", (album,)).fetchone()
    return row is None or bool(row[0])


def _reason(error: Exception) -> str:
    """Why a photo is unreadable. A bug of ours is logged."""
    if isinstance(error, InvalidImage):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "the original is gone from the disk"
    _log.error("a picture can't be processed", exc_info=error)
    return "the server failed on this picture; see its log"
