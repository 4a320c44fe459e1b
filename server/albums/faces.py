"""Faces and people in SQL. These functions take a connection; the caller holds the transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from facewire.protocol.albums.looking import (
    AlbumFaceEntry,
    AlbumFaces,
    AlbumFacesListed,
    AlbumName,
    AlbumNames,
    AlbumNamesListed,
    AlbumPeople,
    AlbumPeopleListed,
    AlbumPerson,
)
from facewire.server.albums.detections import DRAWN, box_of
from facewire.server.albums.handling import handles
from facewire.server.albums.names import wanted_number, wanted_text
from facewire.server.errors import BadRequest, UnknownPerson
from facewire.server.gallery.records import Box, NewTemplate
from facewire.server.names import tidy

_SMALL_SIDE = 32.0  # pixels: such faces are unsharp and seldom recognised (the gate of enrolment begins at 24)
_BLURRED = 0.008  # sharpness: the gate of enrolment takes no less (docs/decisions/0029)
_BACKGROUND = 0.25  # of the quality of the best face in the same photo: half as wide, and less certain

# -------------------------------------------------------------------------------------------------- people

_PERSON_COLUMNS = (
    "p.id, p.name, p.hidden, p.stranger, count(f.id) AS faces, count(DISTINCT f.photo_id) AS photos, "
    # SQLite takes f.id from the row with the maximum
    "f.id AS face, max(f.quality)"
)
_SHOWN = {
    "all": "",
    "named": " AND p.name IS NOT NULL",
    "unnamed": " AND p.name IS NULL AND NOT p.stranger",
    "strangers": " AND p.stranger",
}
_IN_ONE_PHOTO = (
    "(p.name IS NULL AND NOT EXISTS (SELECT 1 FROM faces g WHERE g.person_id = p.id"
    " AND g.photo_id <> (SELECT h.photo_id FROM faces h WHERE h.person_id = p.id LIMIT 1)))"
)
_ONCE = {"with": "", "without": f" AND NOT {_IN_ONE_PHOTO}", "only": f" AND {_IN_ONE_PHOTO}"}
_ORDER = {
    "faces": "p.name IS NULL, faces DESC",
    "photos": "photos DESC, faces DESC",
    "name": "p.name IS NULL, folded(p.name), p.name, photos DESC",
    # NULL comes last, as it is the least
    "seen": "(SELECT max(substr(t.taken, 1, 10)) FROM faces g JOIN photos t ON t.id = g.photo_id"
    " WHERE g.person_id = p.id) DESC, photos DESC",
}


@handles(AlbumPeople)
def people(db: sqlite3.Connection, album: int, message: AlbumPeople) -> AlbumPeopleListed:
    """A page of people, and the total number."""
    where = "p.album_id = :album AND p.hidden = :hidden" + _SHOWN[message.show] + _ONCE[message.once]
    values = {
        "album": album,
        "hidden": message.hidden,
        "wanted": wanted_text(message.contains),
        "number": wanted_number(message.contains),
        "limit": message.limit,
        "offset": message.offset,
    }
    if values["wanted"]:
        where += " AND (p.id = :number OR contains(p.name, :wanted))"
    (total,) = db.execute(f"SELECT count(*) FROM people p WHERE {where}", values).fetchone()
    rows = db.execute(
        f"SELECT {_PERSON_COLUMNS} FROM people p JOIN faces f ON f.person_id = p.id "
        f"WHERE {where} GROUP BY p.id ORDER BY {_ORDER[message.order]}, p.id LIMIT :limit OFFSET :offset",
        values,
    ).fetchall()
    seen = _last_seen(db, [row["id"] for row in rows])
    return AlbumPeopleListed(tuple(_person(row, seen) for row in rows), total)


def names(db: sqlite3.Connection, message: AlbumNames) -> AlbumNamesListed:
    """The names given to people, most photos first."""
    rows = db.execute(
        "SELECT p.name, count(DISTINCT f.photo_id) AS photos, count(DISTINCT p.album_id) AS albums FROM people p "
        "JOIN faces f ON f.person_id = p.id JOIN albums a ON a.id = p.album_id WHERE NOT p.hidden "
        "AND contains(p.name, :wanted) AND (:albums = '[]' OR a.name IN (SELECT value FROM json_each(:albums))) "
        "GROUP BY p.name ORDER BY photos DESC, p.name LIMIT :limit",
        {
            "wanted": wanted_text(message.contains),
            "albums": json.dumps([tidy(name) for name in message.albums]),
            "limit": message.limit,
        },
    )
    return AlbumNamesListed(tuple(AlbumName(row["name"], row["photos"], row["albums"]) for row in rows))


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
            found.append(_person(row, _last_seen(db, [row["id"]])))
    return tuple(found)


def person_row(db: sqlite3.Connection, album: int, number: int) -> sqlite3.Row:
    """A person's id, name, and whether they are hidden or a stranger. Raises UnknownPerson."""
    row: sqlite3.Row | None = db.execute(
        "SELECT id, name, hidden, stranger FROM people WHERE album_id = ? AND id = ?", (album, number)
    ).fetchone()
    if row is None:
        raise UnknownPerson(f"the album has no person {number}")
    return row


def faces_of(db: sqlite3.Connection, person: int) -> list[int]:
    """The ids of a person's faces."""
    return [row[0] for row in db.execute("SELECT id FROM faces WHERE person_id = ? ORDER BY id", (person,))]


def _last_seen(db: sqlite3.Connection, people: Sequence[int]) -> dict[int, str | None]:
    """The last day of each person's photos."""
    rows = db.execute(
        "SELECT f.person_id, max(substr(p.taken, 1, 10)) FROM faces f JOIN photos p ON p.id = f.photo_id "
        "WHERE f.person_id IN (SELECT value FROM json_each(?)) GROUP BY f.person_id",
        (json.dumps(people),),
    )
    return {row[0]: row[1] for row in rows}


def _person(row: sqlite3.Row, seen: Mapping[int, str | None]) -> AlbumPerson:
    return AlbumPerson(
        row["id"],
        row["name"],
        row["faces"],
        row["photos"],
        row["face"],
        bool(row["hidden"]),
        bool(row["stranger"]),
        seen[row["id"]],
    )


# -------------------------------------------------------------------------------------------------- faces

FACE_COLUMNS = (
    "f.id, f.photo_id, f.person_id, f.placed, d.x, d.y, d.w, d.h, d.landmarks, d.detection, d.embedding, n.name, "
    f"{DRAWN.format('f.detection_id')} AS drawn, length(d.embedding) > 0 AS embedded, "
    "p.sha256, p.name AS photo_name, b.width, b.height, b.size, "
    "(SELECT v.at FROM video_faces v WHERE v.detection_id = d.id) AS at, "
    "(SELECT v.seen FROM video_faces v WHERE v.detection_id = d.id) AS seen"
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


def in_the_background(db: sqlite3.Connection, album: int) -> list[int]:
    """The ids of faces that are small, blurred, or much smaller than the best one of their photo."""
    rows = db.execute(
        "SELECT f.id FROM faces f JOIN photos p ON p.id = f.photo_id JOIN detections d ON d.id = f.detection_id "
        "WHERE p.album_id = ? AND (min(d.w, d.h) < ? OR d.sharpness < ? "
        "OR f.quality < ? * (SELECT max(g.quality) FROM faces g WHERE g.photo_id = f.photo_id))",
        (album, _SMALL_SIDE, _BLURRED, _BACKGROUND),
    )
    return [row[0] for row in rows]


def poster_at(db: sqlite3.Connection, sha256: str, seconds: float) -> float:
    """The second of a video's best face; before it was looked at, and if there is none, one near its beginning."""
    row = db.execute(
        "SELECT v.at FROM video_faces v JOIN detections d ON d.id = v.detection_id WHERE d.sha256 = ? "
        "ORDER BY d.detection * min(d.w, d.h) DESC, d.id LIMIT 1",
        (sha256,),
    ).fetchone()
    return min(1.0, seconds / 2) if row is None else float(row["at"])


def face_entry(row: sqlite3.Row) -> AlbumFaceEntry:
    """A row of FACE_COLUMNS."""
    return AlbumFaceEntry(
        face=row["id"],
        photo=row["photo_id"],
        box=box_of(row),
        detection=row["detection"],
        person=row["person_id"],
        name=row["name"],
        placed=bool(row["placed"]),
        at=row["at"],
        seen=() if row["seen"] is None else tuple((begin, end) for begin, end in json.loads(row["seen"])),
        drawn=bool(row["drawn"]),
        embedded=bool(row["embedded"]),
    )


def template(row: sqlite3.Row) -> NewTemplate:
    """A row of FACE_COLUMNS as a template."""
    landmarks = tuple((float(x), float(y)) for x, y in json.loads(row["landmarks"]))
    embedding = np.frombuffer(row["embedding"], "<f4").astype(np.float32)
    return NewTemplate(embedding, box_of(row), landmarks, row["detection"])


def apart(db: sqlite3.Connection, album: int) -> list[tuple[int, int]]:
    """The pairs of faces that are different people according to users."""
    rows = db.execute(
        "SELECT a.one, a.other FROM apart a JOIN faces f ON f.id = a.one JOIN photos p ON p.id = f.photo_id "
        "WHERE p.album_id = ? ORDER BY a.one, a.other",
        (album,),
    )
    return [(row[0], row[1]) for row in rows]


def boxes_of(db: sqlite3.Connection, photo: int) -> list[tuple[int, Box]]:
    """The faces of a photo with their boxes."""
    rows = db.execute(
        "SELECT f.id, d.x, d.y, d.w, d.h FROM faces f JOIN detections d ON d.id = f.detection_id WHERE f.photo_id = ?",
        (photo,),
    )
    return [(row["id"], box_of(row)) for row in rows]


def without_embedding(db: sqlite3.Connection, album: int) -> list[tuple[int, int, int]]:
    """Face, photo and person, -1 for nobody, of an album's drawn faces in which no face can be made out."""
    rows = db.execute(
        "SELECT f.id, f.photo_id, coalesce(f.person_id, -1) FROM photos p JOIN drawn w ON w.photo_id = p.id "
        "JOIN detections d ON d.id = w.detection_id JOIN faces f ON f.detection_id = d.id "
        "WHERE p.album_id = ? AND length(d.embedding) = 0 ORDER BY f.id",
        (album,),
    )
    return [tuple(row) for row in rows]
