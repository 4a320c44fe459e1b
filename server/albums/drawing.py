"""Faces that users draw by hand, because the detector missed them.

A drawn face has a detection of its own, which no other album shares, and keeps its box whatever a detector finds later.
Every change writes a new detection and leaves the old one for undo; they go with the photo.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np

from facewire.protocol.albums.correcting import AlbumChanged
from facewire.protocol.albums.drawing import AlbumDrawFace, AlbumDrawn, AlbumRedrawFace, AlbumRemoveFace
from facewire.protocol.text import counted
from facewire.server.albums import catalogue, corrections, detections, faces
from facewire.server.albums.database import Database
from facewire.server.albums.handling import handles
from facewire.server.albums.journal import Correction
from facewire.server.albums.originals import Originals
from facewire.server.albums.settings import AlbumLimits
from facewire.server.errors import AlreadyExists, BadRequest, OverLimit
from facewire.server.gallery.records import Box, NewTemplate
from facewire.server.vision.detector import overlap
from facewire.server.vision.engine import Engine


def look_at_boxes(engine: Engine, data: bytes, boxes: Sequence[Box]) -> list[NewTemplate]:
    """What is in these boxes of a picture. The embedding is empty where no face can be made out: of the back of a head,
    a network says the same as of any other (docs/decisions/0079).

    Raises InvalidImage and Busy.
    """
    found = engine.pointed_at(data, boxes)
    embeddings = iter(engine.templates([face.crop for face in found if face is not None]))
    nothing = np.zeros(0, np.float32)
    return [
        NewTemplate(nothing, box, (), 0.0)
        if face is None
        else NewTemplate(next(embeddings), box, face.landmarks, float(face.detection))
        for box, face in zip(boxes, found, strict=True)
    ]


def within(box: Box, width: int, height: int) -> Box | None:
    """The part of a box that lies in a picture of this size; None if that is less than a pixel."""
    left, top = max(0.0, box[0]), max(0.0, box[1])
    right, bottom = min(float(width), box[0] + box[2]), min(float(height), box[1] + box[3])
    return (left, top, right - left, bottom - top) if min(right - left, bottom - top) >= 1 else None


class Drawing:
    """Thread-safe."""

    def __init__(self, db: Database, originals: Originals, engine: Engine, spec: int, limits: AlbumLimits) -> None:
        """`spec`: the id of the engine's."""
        self._db = db
        self._originals = originals
        self._engine = engine
        self._spec = spec
        self._limits = limits

    def draw(self, album: int, message: AlbumDrawFace) -> AlbumDrawn:
        """Adds a face. Raises BadRequest, AlreadyExists, OverLimit, UnknownPerson; InvalidImage if the photo can't be
        decoded."""
        with self._db.reading() as db:
            photo, box = self._place(db, album, message.photo, message.box, but=None)
            if message.person is not None:
                faces.person_row(db, album, message.person)
        template = self._look(photo, box)
        with self._db.writing() as db:
            photo, _ = self._place(db, album, message.photo, message.box, but=None)
            if detections.count_drawn(db, message.photo) >= self._limits.drawn_faces:
                raise OverLimit(f"a photo takes {counted(self._limits.drawn_faces, 'drawn face')} at most")
            correction = Correction(db, album)
            person, called = corrections.person_for(correction, message.person, message.name)
            detection = detections.store_drawn(db, message.photo, photo["sha256"], self._spec, template)
            face = correction.draw(message.photo, detection)
            correction.place([face], person, placed=called is not None)
            done = f"drew {called or 'a face'} in {photo['name']}"
            return _drawn(correction, correction.commit(done), done, face)

    def redraw(self, album: int, message: AlbumRedrawFace) -> AlbumDrawn:
        """Moves or resizes a face. Raises as `draw`."""
        with self._db.reading() as db:
            number = _drawn_face(db, album, message.face)["photo_id"]
            photo, box = self._place(db, album, number, message.box, but=message.face)
        template = self._look(photo, box)
        with self._db.writing() as db:
            row = _drawn_face(db, album, message.face)
            photo, _ = self._place(db, album, number, message.box, but=message.face)
            correction = Correction(db, album)
            detection = detections.store_drawn(db, number, photo["sha256"], self._spec, template)
            correction.redraw(message.face, detection)
            if row["person_id"] is not None:
                correction.concerned[row["person_id"]] = None
            done = f"moved the box of {row['name'] or 'a face'} in {photo['name']}"
            return _drawn(correction, correction.commit(done), done, message.face)

    def _place(
        self, db: sqlite3.Connection, album: int, number: int, box: Box, but: int | None
    ) -> tuple[sqlite3.Row, Box]:
        """The photo, and the box inside it, where no face is yet, or only the face `but`."""
        photo = catalogue.photo(db, album, number)
        if photo["seconds"] is not None:
            raise BadRequest("faces are drawn in photos, not in videos")
        if photo["state"] == "unreadable":
            raise BadRequest("this photo can't be read, so nothing can be drawn in it")
        inside = within(box, photo["width"], photo["height"])
        if inside is None:
            raise BadRequest(f"the box is outside the photo, which has {photo['width']} x {photo['height']} pixels")
        for face, other in faces.boxes_of(db, number):
            if face != but and overlap(other, inside) >= detections.SAME_FACE:
                raise AlreadyExists(f"that is face {face}, which is there already")
        return photo, inside

    def _look(self, photo: sqlite3.Row, box: Box) -> NewTemplate:
        try:
            data = self._originals.read(photo["sha256"])
        except FileNotFoundError as error:
            raise BadRequest("the photo has been removed") from error
        return look_at_boxes(self._engine, data, [box])[0]


@handles(AlbumRemoveFace, writing=True)
def remove_face(db: sqlite3.Connection, album: int, message: AlbumRemoveFace) -> AlbumChanged:
    """Removes a drawn face. Raises BadRequest for any other."""
    row = _drawn_face(db, album, message.face)
    correction = Correction(db, album)
    correction.erase(message.face)
    done = f"removed the box of {row['name'] or 'a face'} from {row['photo_name']}"
    event = correction.commit(done)
    return AlbumChanged(event, done, faces.some_people(db, album, correction.concerned))


def _drawn_face(db: sqlite3.Connection, album: int, number: int) -> sqlite3.Row:
    row = faces.face(db, album, number)
    if not row["drawn"]:
        raise BadRequest(f"face {number} was found by the detector: only faces drawn by hand are moved or removed")
    return row


def _drawn(correction: Correction, event: int, done: str, face: int) -> AlbumDrawn:
    db, album = correction.db, correction.album
    people = faces.some_people(db, album, correction.concerned)
    return AlbumDrawn(event, done, people, faces.face_entry(faces.face(db, album, face)))
