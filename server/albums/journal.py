"""The history of an album's corrections. Each event stores the state before it, which undo restores."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from facewire.protocol.albums.correcting import AlbumEvent, AlbumHistory, AlbumHistoryListed
from facewire.server.access.caller import current_caller
from facewire.server.albums import detections
from facewire.server.albums.handling import handles
from facewire.server.albums.regrouping import drop_empty, keep_apart, new_person
from facewire.server.errors import Conflict
from facewire.server.gallery.storage.connection import now


class Correction:
    """A correction in progress, in the caller's transaction. Every write goes through it and is recorded for undo."""

    def __init__(self, db: sqlite3.Connection, album: int) -> None:
        self.db = db
        self.album = album
        self.concerned: dict[int, None] = {}  # people, in the order they were changed
        self._people: dict[int, tuple[str | None, int, int] | None] = {}  # state before; None if they did not exist
        self._faces: dict[int, tuple[int | None, int]] = {}
        self._boxes: dict[int, tuple[int, int] | None] = {}  # of drawn faces: photo and detection before
        self._parted: list[tuple[int, int]] = []
        self._joined: list[tuple[int, int]] = []

    def new_person(self) -> int:
        """Adds a person without faces."""
        person = new_person(self.db, self.album)
        self._people[person] = None
        self.concerned[person] = None
        return person

    def describe(self, person: int, *, name: str | None, hidden: bool, stranger: bool = False) -> None:
        """Sets a person's name, whether they are hidden, and whether nobody knows them."""
        self._remember_person(person)
        self.db.execute(
            "UPDATE people SET name = ?, hidden = ?, stranger = ? WHERE id = ?", (name, hidden, stranger, person)
        )

    def place(self, chosen: Iterable[int], person: int, *, placed: bool = True) -> None:
        """Assigns faces to a person; `placed`: by a user."""
        self._remember_person(person)
        for face in chosen:
            row = self.db.execute("SELECT person_id, placed FROM faces WHERE id = ?", (face,)).fetchone()
            self._faces.setdefault(face, (row[0], row[1]))
            if row[0] is not None:
                self._remember_person(row[0])
            self.db.execute("UPDATE faces SET person_id = ?, placed = ? WHERE id = ?", (person, placed, face))

    def draw(self, photo: int, detection: int) -> int:
        """Adds a face that shows a drawn detection, and returns its number."""
        insert = "INSERT INTO faces (photo_id, detection_id, quality) VALUES (?, ?, 0)"
        face = int(self.db.execute(insert, (photo, detection)).lastrowid or 0)
        self._boxes[face] = None
        detections.set_detection(self.db, face, detection)
        detections.settle_state(self.db, photo)
        return face

    def redraw(self, face: int, detection: int) -> None:
        """Shows a face by another detection."""
        self._remember_box(face)
        detections.set_detection(self.db, face, detection)

    def erase(self, face: int) -> None:
        """Removes a face."""
        photo, _ = self._remember_box(face)
        person, placed = self.db.execute("SELECT person_id, placed FROM faces WHERE id = ?", (face,)).fetchone()
        self._faces.setdefault(face, (person, placed))
        if person is not None:
            self._remember_person(person)
        rows = self.db.execute("SELECT one, other FROM apart WHERE one = ? OR other = ?", (face, face))
        self._joined += [(row[0], row[1]) for row in rows]
        self.db.execute("DELETE FROM faces WHERE id = ?", (face,))
        detections.settle_state(self.db, photo)

    def part(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Records that the two faces of each pair are different people."""
        for one, other in pairs:
            pair = (min(one, other), max(one, other))
            if self.db.execute("INSERT OR IGNORE INTO apart VALUES (?, ?)", pair).rowcount:
                self._parted.append(pair)

    def join(self, person: int) -> None:
        """Removes the records that kept this person's faces apart."""
        rows = self.db.execute(
            "SELECT a.one, a.other FROM apart a JOIN faces f ON f.id = a.one JOIN faces g ON g.id = a.other "
            "WHERE f.person_id = ? AND g.person_id = ?",
            (person, person),
        ).fetchall()
        self._joined += [(row[0], row[1]) for row in rows]
        self.db.executemany("DELETE FROM apart WHERE one = ? AND other = ?", [tuple(row) for row in rows])

    def commit(self, done: str) -> int:
        """Records the event, described by `done`, and returns its number. The caller commits."""
        drop_empty(self.db, self.album)
        before = {
            "people": [[person, *(was or ())] for person, was in self._people.items()],
            "faces": [[face, *was] for face, was in self._faces.items()],
            "boxes": [[face, *(was or ())] for face, was in self._boxes.items()],
            "parted": self._parted,
            "joined": self._joined,
        }
        caller = current_caller()
        cursor = self.db.execute(
            "INSERT INTO events (album_id, at, done, before, token, address) VALUES (?, ?, ?, ?, ?, ?)",
            (self.album, now(), done, json.dumps(before, separators=(",", ":")), caller.name, caller.address),
        )
        return int(cursor.lastrowid or 0)

    def _remember_box(self, face: int) -> tuple[int, int]:
        row = self.db.execute("SELECT photo_id, detection_id FROM faces WHERE id = ?", (face,)).fetchone()
        was: tuple[int, int] = (row[0], row[1])
        self._boxes.setdefault(face, was)
        return was

    def _remember_person(self, person: int) -> None:
        if person not in self._people:
            row = self.db.execute("SELECT name, hidden, stranger FROM people WHERE id = ?", (person,)).fetchone()
            self._people[person] = (row[0], row[1], row[2])
        self.concerned[person] = None


def undo(db: sqlite3.Connection, album: int, last: int | None = None) -> tuple[int, str, list[int]]:
    """Undoes the last event not yet undone. Returns its number, its description and the people affected. Raises
    Conflict if there is none, or if it is not the one with the number `last`.

    Later changes by clustering stay unless they contradict it. People without placed faces may have disappeared since;
    they reappear with the faces returned to them.
    """
    event = db.execute(
        "SELECT id, done, before FROM events WHERE album_id = ? AND NOT undone ORDER BY id DESC LIMIT 1", (album,)
    ).fetchone()
    if event is None:
        raise Conflict("there is nothing to undo")
    if last is not None and event["id"] != last:
        raise Conflict(_instead_of(db, album, last, event))
    before = json.loads(event["before"])
    concerned = [entry[0] for entry in before["people"]]
    # Clear all names first, as two people may have swapped theirs.
    db.executemany("UPDATE people SET name = NULL WHERE id = ?", [(person,) for person in concerned])
    for person, *was in before["people"]:
        if was:
            db.execute("INSERT OR IGNORE INTO people (id, album_id) VALUES (?, ?)", (person, album))
            name, hidden, *stranger = was  # events of before say nothing of strangers: there were none
            values = (name, hidden, *(stranger or (0,)), person)
            db.execute("UPDATE people SET name = ?, hidden = ?, stranger = ? WHERE id = ?", values)
        else:  # clustering may have added faces since: they stay together, without a name
            db.execute("UPDATE people SET hidden = 0, stranger = 0 WHERE id = ?", (person,))
    for face, *was in before.get("boxes", ()):  # events of before have none
        _put_back(db, face, was)
    for face, person, placed in before["faces"]:
        db.execute("UPDATE faces SET person_id = ?, placed = ? WHERE id = ?", (person, placed, face))
    db.executemany("DELETE FROM apart WHERE one = ? AND other = ?", before["parted"])
    for one, other in before["joined"]:
        there = db.execute("SELECT count(*) FROM faces WHERE id IN (?, ?)", (one, other)).fetchone()[0]
        if there == 2:  # else a photo has been removed since
            db.execute("INSERT OR IGNORE INTO apart VALUES (?, ?)", (one, other))
    keep_apart(db, album)
    drop_empty(db, album)
    caller = current_caller()
    db.execute(
        "UPDATE events SET undone = 1, undone_token = ?, undone_address = ? WHERE id = ?",
        (caller.name, caller.address, event["id"]),
    )
    return event["id"], event["done"], concerned


def _put_back(db: sqlite3.Connection, face: int, was: list[int]) -> None:
    """Restores a drawn face to `was`, its photo and detection; empty: it did not exist."""
    if not was:
        row = db.execute("DELETE FROM faces WHERE id = ? RETURNING photo_id", (face,)).fetchone()
        if row is not None:
            detections.settle_state(db, row[0])
        return
    photo, detection = was
    if db.execute("SELECT 1 FROM drawn WHERE detection_id = ?", (detection,)).fetchone() is None:
        return  # the photo has been removed since
    db.execute(
        "INSERT OR IGNORE INTO faces (id, photo_id, detection_id, quality) VALUES (?, ?, ?, 0)",
        (face, photo, detection),
    )
    detections.set_detection(db, face, detection)
    detections.settle_state(db, photo)


def _instead_of(db: sqlite3.Connection, album: int, wanted: int, newest: sqlite3.Row) -> str:
    """Why `newest` would be undone, and not the event `wanted`."""
    row = db.execute("SELECT undone FROM events WHERE album_id = ? AND id = ?", (album, wanted)).fetchone()
    if row is None:
        return f"the album has no change {wanted}: look at the history again"
    if row["undone"]:
        return f"change {wanted} has been undone already"
    return f"another change came after it ({newest['id']}: {newest['done']}): look at the history again"


@handles(AlbumHistory)
def history(db: sqlite3.Connection, album: int, message: AlbumHistory) -> AlbumHistoryListed:
    """A page of events, newest first, and the total number."""
    (total,) = db.execute("SELECT count(*) FROM events WHERE album_id = ?", (album,)).fetchone()
    rows = db.execute(
        "SELECT id AS event, at, done, undone, token, address, undone_token, undone_address FROM events"
        " WHERE album_id = ? ORDER BY id DESC LIMIT ? OFFSET ?",
        (album, message.limit, message.offset),
    )
    events = tuple(AlbumEvent(**{**row, "undone": bool(row["undone"])}) for row in rows)
    return AlbumHistoryListed(events, total)
