"""Faces and people in SQL. These functions take a connection; the caller holds the transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np

from facewire.protocol.albums.looking import (
    AlbumFaceEntry,
    AlbumFaces,
    AlbumFacesListed,
    AlbumPeople,
    AlbumPeopleListed,
    AlbumPerson,
)
from facewire.server.albums.handling import handles
from facewire.server.errors import BadRequest, UnknownPerson
from facewire.server.gallery.records import Box, NewTemplate

_SAME_FACE = 0.5  # intersection over union at which a face found by another model counts as the same face


def templates_of(db: sqlite3.Connection, sha256: str, spec: int) -> list[sqlite3.Row]:
    """The faces found in a picture."""
    return db.execute("SELECT * FROM detections WHERE sha256 = ? AND spec_id = ?", (sha256, spec)).fetchall()


def was_looked_at(db: sqlite3.Connection, sha256: str, spec: int) -> bool:
    """Has face detection been run on this picture?"""
    query = "SELECT 1 FROM looked WHERE sha256 = ? AND spec_id = ?"
    return db.execute(query, (sha256, spec)).fetchone() is not None


def store_detections(db: sqlite3.Connection, sha256: str, spec: int, found: Sequence[NewTemplate]) -> None:
    """Records the faces found in a picture, once for all albums."""
    db.execute("INSERT INTO looked VALUES (?, ?)", (sha256, spec))
    db.executemany(
        "INSERT INTO detections (sha256, spec_id, x, y, w, h, landmarks, detection, embedding) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                sha256,
                spec,
                *face.box,
                json.dumps(face.landmarks),
                face.detection,
                face.embedding.astype("<f4").tobytes(),
            )
            for face in found
        ],
    )


def attach(db: sqlite3.Connection, photo: int, sha256: str, spec: int) -> int:
    """Adds to a photo the faces found in its picture, and returns how many.

    A face already found by another model keeps its id, its person and users' corrections.
    """
    old = db.execute(
        "SELECT f.id, d.x, d.y, d.w, d.h FROM faces f JOIN detections d ON d.id = f.detection_id WHERE f.photo_id = ?",
        (photo,),
    ).fetchall()
    found = templates_of(db, sha256, spec)
    for row in found:
        same = next((face for face in old if _overlap(_box(face), _box(row)) >= _SAME_FACE), None)
        if same is not None:
            old.remove(same)
            db.execute("UPDATE faces SET detection_id = ? WHERE id = ?", (row["id"], same["id"]))
        else:
            quality = row["detection"] * min(row["w"], row["h"])
            db.execute(
                "INSERT INTO faces (photo_id, detection_id, quality) VALUES (?, ?, ?)", (photo, row["id"], quality)
            )
    db.executemany("DELETE FROM faces WHERE id = ?", [(face["id"],) for face in old])
    state = "faces" if found else "no_faces"
    db.execute("UPDATE photos SET state = ?, reason = NULL WHERE id = ?", (state, photo))
    return len(found)


# -------------------------------------------------------------------------------------------------- people

_PERSON_COLUMNS = (
    "p.id, p.name, p.hidden, count(f.id) AS faces, count(DISTINCT f.photo_id) AS photos, "
    # SQLite takes f.id from the row with the maximum
    "f.id AS face, max(f.quality)"
)


@handles(AlbumPeople)
def people(db: sqlite3.Connection, album: int, message: AlbumPeople) -> AlbumPeopleListed:
    """A page of people, named ones first, then by number of faces; and the total number."""
    (total,) = db.execute(
        "SELECT count(*) FROM people WHERE album_id = ? AND hidden = ?", (album, message.hidden)
    ).fetchone()
    rows = db.execute(
        f"SELECT {_PERSON_COLUMNS} FROM people p JOIN faces f ON f.person_id = p.id "
        "WHERE p.album_id = ? AND p.hidden = ? GROUP BY p.id "
        "ORDER BY p.name IS NULL, faces DESC, p.id LIMIT ? OFFSET ?",
        (album, message.hidden, message.limit, message.offset),
    )
    return AlbumPeopleListed(tuple(_person(row) for row in rows), total)


def some_people(db: sqlite3.Connection, album: int, numbers: Iterable[int]) -> tuple[AlbumPerson, ...]:
    """These people in this order, without those who no longer exist."""
    found = []
    for number in dict.fromkeys(numbers):
        row = db.execute(
            f"SELECT {_PERSON_COLUMNS} FROM people p JOIN faces f ON f.person_id = p.id "
            "WHERE p.album_id = ? AND p.id = ? GROUP BY p.id",
            (album, number),
        ).fetchone()
        if row is not None:
            found.append(_person(row))
    return tuple(found)


def person_row(db: sqlite3.Connection, album: int, number: int) -> sqlite3.Row:
    """A person's id, name and hidden flag. Raises UnknownPerson."""
    row: sqlite3.Row | None = db.execute(
        "SELECT id, name, hidden FROM people WHERE album_id = ? AND id = ?", (album, number)
    ).fetchone()
    if row is None:
        raise UnknownPerson(f"the album has no person {number}")
    return row


def faces_of(db: sqlite3.Connection, person: int) -> list[int]:
    """The ids of a person's faces."""
    return [row[0] for row in db.execute("SELECT id FROM faces WHERE person_id = ? ORDER BY id", (person,))]


# -------------------------------------------------------------------------------------------------- faces

FACE_COLUMNS = (
    "f.id, f.photo_id, f.person_id, f.placed, d.x, d.y, d.w, d.h, d.landmarks, d.detection, d.embedding, n.name, "
    "p.sha256, p.name AS photo_name, b.width, b.height, b.size"
)
FACE_TABLES = (
    "faces f JOIN photos p ON p.id = f.photo_id JOIN blobs b ON b.sha256 = p.sha256 "
    "JOIN detections d ON d.id = f.detection_id LEFT JOIN people n ON n.id = f.person_id"
)


@handles(AlbumFaces)
def faces(db: sqlite3.Connection, album: int, message: AlbumFaces) -> AlbumFacesListed:
    """A page of faces, best first, and the total number."""
    where, values = "p.album_id = ?", [album]
    for column, value in (("f.person_id", message.person), ("f.photo_id", message.photo)):
        if value is not None:
            where += f" AND {column} = ?"
            values.append(value)
    (total,) = db.execute(
        f"SELECT count(*) FROM faces f JOIN photos p ON p.id = f.photo_id WHERE {where}", values
    ).fetchone()
    rows = db.execute(
        f"SELECT {FACE_COLUMNS} FROM {FACE_TABLES} WHERE {where} ORDER BY f.quality DESC, f.id LIMIT ? OFFSET ?",
        (*values, message.limit, message.offset),
    )
    return AlbumFacesListed(tuple(face_entry(row) for row in rows), total)


def face(db: sqlite3.Connection, album: int, number: int) -> sqlite3.Row:
    """A face with FACE_COLUMNS. Raises BadRequest."""
    row: sqlite3.Row | None = db.execute(
        f"SELECT {FACE_COLUMNS} FROM {FACE_TABLES} WHERE p.album_id = ? AND f.id = ?", (album, number)
    ).fetchone()
    if row is None:
        raise BadRequest(f"the album has no face {number}")
    return row


def best_faces(db: sqlite3.Connection, person: int, count: int) -> list[sqlite3.Row]:
    """A person's best faces, at most one per photo, with FACE_COLUMNS."""
    return db.execute(
        f"SELECT {FACE_COLUMNS}, max(f.quality) AS best FROM {FACE_TABLES} WHERE f.person_id = ? "
        "GROUP BY f.photo_id ORDER BY best DESC, f.id LIMIT ?",
        (person, count),
    ).fetchall()


def face_entry(row: sqlite3.Row) -> AlbumFaceEntry:
    """A row of FACE_COLUMNS."""
    return AlbumFaceEntry(
        row["id"], row["photo_id"], _box(row), row["detection"], row["person_id"], row["name"], bool(row["placed"])
    )


def template(row: sqlite3.Row) -> NewTemplate:
    """A row of FACE_COLUMNS as a template."""
    landmarks = tuple((float(x), float(y)) for x, y in json.loads(row["landmarks"]))
    embedding = np.frombuffer(row["embedding"], "<f4").astype(np.float32)
    return NewTemplate(embedding, _box(row), landmarks, row["detection"])


def apart(db: sqlite3.Connection, album: int) -> list[tuple[int, int]]:
    """The pairs of faces that are different people according to users."""
    rows = db.execute(
        "SELECT a.one, a.other FROM apart a JOIN faces f ON f.id = a.one JOIN photos p ON p.id = f.photo_id "
        "WHERE p.album_id = ? ORDER BY a.one, a.other",
        (album,),
    )
    return [(row[0], row[1]) for row in rows]


def _person(row: sqlite3.Row) -> AlbumPerson:
    return AlbumPerson(row["id"], row["name"], row["faces"], row["photos"], row["face"], bool(row["hidden"]))


def _box(row: sqlite3.Row) -> Box:
    return (row["x"], row["y"], row["w"], row["h"])


def _overlap(one: Box, other: Box) -> float:
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / max(1e-9, one[2] * one[3] + other[2] * other[3] - shared)
