"""What was found in pictures, or drawn by hand, and the faces that photos get from it. These functions take a
connection; the caller holds the transaction."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facewire.server.albums.clarity import POOR, clarity
from facewire.server.gallery.records import Box, NewTemplate
from facewire.server.vision.detector import overlap

SAME_FACE = 0.5
"""Intersection over union at which a face found by another model, or drawn by hand, counts as the same face."""

DRAWN = "EXISTS (SELECT 1 FROM drawn WHERE drawn.detection_id = {})"
"""Was the detection with this id drawn by hand?"""


@dataclass(frozen=True, slots=True, eq=False)
class NewFace:
    """A face found in a picture, or a person in a video by their best face: `at` which second, and from when to when
    they are `seen`. `sharpness`: see `FaceQuality`; None if it was not measured."""

    template: NewTemplate
    at: float | None = None
    seen: tuple[tuple[float, float], ...] = ()
    sharpness: float | None = None


def templates_of(db: sqlite3.Connection, sha256: str, spec: int) -> list[sqlite3.Row]:
    """The faces found in a picture, without those that somebody drew."""
    return db.execute(
        "SELECT d.*, v.at FROM detections d LEFT JOIN video_faces v ON v.detection_id = d.id "
        f"WHERE d.sha256 = ? AND d.spec_id = ? AND NOT {DRAWN.format('d.id')}",
        (sha256, spec),
    ).fetchall()


def was_looked_at(db: sqlite3.Connection, sha256: str, spec: int) -> bool:
    """Has face detection been run on this picture?"""
    query = "SELECT 1 FROM looked WHERE sha256 = ? AND spec_id = ?"
    return db.execute(query, (sha256, spec)).fetchone() is not None


def store_detections(db: sqlite3.Connection, sha256: str, spec: int, found: Sequence[NewFace]) -> None:
    """Records the faces found in a picture, once for all albums."""
    db.execute("INSERT INTO looked VALUES (?, ?)", (sha256, spec))
    for one in found:
        detection = _store(db, sha256, spec, one.template, one.sharpness)
        if one.at is not None:
            db.execute("INSERT INTO video_faces VALUES (?, ?, ?)", (detection, one.at, json.dumps(one.seen)))


def _store(db: sqlite3.Connection, sha256: str, spec: int, face: NewTemplate, sharpness: float | None = None) -> int:
    cursor = db.execute(
        "INSERT INTO detections (sha256, spec_id, x, y, w, h, landmarks, detection, embedding, sharpness) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(sha256, spec, *face.box),
            *(json.dumps(face.landmarks), face.detection, face.embedding.astype("<f4").tobytes(), sharpness),
        ),
    )
    return int(cursor.lastrowid or 0)


def attach(db: sqlite3.Connection, photo: int, sha256: str, spec: int) -> int:
    """Adds to a photo the faces found in its picture, and returns how many it has.

    A face already found by another model keeps its id, its person and users' corrections. One that was drawn by hand
    stays as it was drawn.
    """
    old = db.execute(
        f"SELECT f.id, d.x, d.y, d.w, d.h, v.at, {DRAWN.format('d.id')} AS drawn "
        "FROM faces f JOIN detections d ON d.id = f.detection_id "
        "LEFT JOIN video_faces v ON v.detection_id = d.id WHERE f.photo_id = ?",
        (photo,),
    ).fetchall()
    drawn, old = [face for face in old if face["drawn"]], [face for face in old if not face["drawn"]]
    for row in templates_of(db, sha256, spec):
        same = next((face for face in old if _is_same(face, row)), None)
        if same is None and any(_is_same(face, row) for face in drawn):
            continue
        if same is not None:
            old.remove(same)
            db.execute("UPDATE faces SET detection_id = ? WHERE id = ?", (row["id"], same["id"]))
        else:
            db.execute(
                "INSERT INTO faces (photo_id, detection_id, quality) VALUES (?, ?, ?)",
                (photo, row["id"], _quality(row)),
            )
    db.executemany("DELETE FROM faces WHERE id = ?", [(face["id"],) for face in old])
    db.execute("UPDATE photos SET state = 'no_faces', reason = NULL WHERE id = ?", (photo,))
    settle_state(db, photo)
    return int(db.execute("SELECT count(*) FROM faces WHERE photo_id = ?", (photo,)).fetchone()[0])


_POOR_QUALITY = 0.001
"""Factor of a poor face's quality: as cover, any clear face is better, however small."""


def _quality(row: sqlite3.Row) -> float:
    """How good a face, a row of detections, is as its person's cover."""
    size = min(row["w"], row["h"])
    sharpness = math.nan if row["sharpness"] is None else row["sharpness"]
    shown = clarity(*(np.array([value]) for value in (size, row["detection"], sharpness)))
    return float(row["detection"] * size * (1.0 if shown[0] >= POOR else _POOR_QUALITY))


def settle_state(db: sqlite3.Connection, photo: int) -> None:
    """Says of a photo that was looked at whether it has faces."""
    db.execute(
        "UPDATE photos SET state = CASE WHEN EXISTS (SELECT 1 FROM faces WHERE photo_id = photos.id) "
        "THEN 'faces' ELSE 'no_faces' END WHERE id = ? AND state IN ('faces', 'no_faces')",
        (photo,),
    )


def store_drawn(db: sqlite3.Connection, photo: int, sha256: str, spec: int, face: NewTemplate) -> int:
    """Records what was drawn in a photo, and returns the detection's id."""
    detection = _store(db, sha256, spec, face)
    db.execute("INSERT INTO drawn VALUES (?, ?)", (detection, photo))
    return detection


def count_drawn(db: sqlite3.Connection, photo: int) -> int:
    """How many detections were drawn in a photo, those that undo may need included."""
    return int(db.execute("SELECT count(*) FROM drawn WHERE photo_id = ?", (photo,)).fetchone()[0])


def drawn_for_other_models(db: sqlite3.Connection, photo: int, spec: int) -> list[tuple[int, Box]]:
    """The photo's drawn faces, with their boxes, that this model has not embedded yet."""
    rows = db.execute(
        "SELECT f.id, d.x, d.y, d.w, d.h FROM faces f JOIN detections d ON d.id = f.detection_id "
        f"WHERE f.photo_id = ? AND d.spec_id <> ? AND {DRAWN.format('d.id')}",
        (photo, spec),
    )
    return [(row["id"], box_of(row)) for row in rows]


def set_detection(db: sqlite3.Connection, face: int, detection: int) -> None:
    """Says that a face is what this detection shows."""
    row = db.execute("SELECT w, h, detection, sharpness FROM detections WHERE id = ?", (detection,)).fetchone()
    db.execute("UPDATE faces SET detection_id = ?, quality = ? WHERE id = ?", (detection, _quality(row), face))


def box_of(row: sqlite3.Row) -> Box:
    """The box in a row of detections."""
    return (row["x"], row["y"], row["w"], row["h"])


def _is_same(one: sqlite3.Row, other: sqlite3.Row) -> bool:
    """Do two models mean the same face? In a video, of the same frame."""
    return bool(one["at"] == other["at"]) and overlap(box_of(one), box_of(other)) >= SAME_FACE
