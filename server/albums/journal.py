"""The history of an album's corrections. Each event stores the state before it, which undo restores."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from facewire.protocol.albums.correcting import AlbumEvent, AlbumHistory, AlbumHistoryListed
from facewire.server.albums.database import now
from facewire.server.albums.handling import handles
from facewire.server.albums.regrouping import drop_empty, keep_apart, new_person
from facewire.server.errors import BadRequest


class Correction:
    """A correction in progress, in the caller's transaction. Every write goes through it and is recorded for undo."""

    def __init__(self, db: sqlite3.Connection, album: int) -> None:
        self.db = db
        self.album = album
        self.concerned: dict[int, None] = {}  # people, in the order they were changed
        self._people: dict[int, tuple[str | None, int] | None] = {}  # state before; None if they did not exist
        self._faces: dict[int, tuple[int | None, int]] = {}
        self._parted: list[tuple[int, int]] = []
        self._joined: list[tuple[int, int]] = []

    def new_person(self) -> int:
        """Adds a person without faces."""
        person = new_person(self.db, self.album)
        self._people[person] = None
        self.concerned[person] = None
        return person

    def describe(self, person: int, *, name: str | None, hidden: bool) -> None:
        """Sets a person's name and whether they are hidden."""
        self._remember_person(person)
        self.db.execute("UPDATE people SET name = ?, hidden = ? WHERE id = ?", (name, hidden, person))

    def place(self, faces: Iterable[int], person: int, *, placed: bool = True) -> None:
        """Assigns faces to a person; `placed`: by a user."""
        self._remember_person(person)
        for face in faces:
            row = self.db.execute("SELECT person_id, placed FROM faces WHERE id = ?", (face,)).fetchone()
            self._faces.setdefault(face, (row[0], row[1]))
            if row[0] is not None:
                self._remember_person(row[0])
            self.db.execute("UPDATE faces SET person_id = ?, placed = ? WHERE id = ?", (person, placed, face))

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
            "parted": self._parted,
            "joined": self._joined,
        }
        cursor = self.db.execute(
            "INSERT INTO events (album_id, at, done, before) VALUES (?, ?, ?, ?)",
            (self.album, now(), done, json.dumps(before, separators=(",", ":"))),
        )
        return int(cursor.lastrowid or 0)

    def _remember_person(self, person: int) -> None:
        if person not in self._people:
            row = self.db.execute("SELECT name, hidden FROM people WHERE id = ?", (person,)).fetchone()
            self._people[person] = (row[0], row[1])
        self.concerned[person] = None


def undo(db: sqlite3.Connection, album: int) -> tuple[int, str, list[int]]:
    """Undoes the last event not yet undone. Returns its number, its description and the people affected. Raises
    BadRequest if there is none.

    Later changes by clustering stay unless they contradict it. People without placed faces may have disappeared since;
    they reappear with the faces returned to them.
    """
    event = db.execute(
        "SELECT id, done, before FROM events WHERE album_id = ? AND NOT undone ORDER BY id DESC LIMIT 1", (album,)
    ).fetchone()
    if event is None:
        raise BadRequest("there is nothing to undo")
    before = json.loads(event["before"])
    concerned = [entry[0] for entry in before["people"]]
    # Clear all names first, as two people may have swapped theirs.
    db.executemany("UPDATE people SET name = NULL WHERE id = ?", [(person,) for person in concerned])
    for person, *was in before["people"]:
        if was:
            db.execute("INSERT OR IGNORE INTO people (id, album_id) VALUES (?, ?)", (person, album))
            db.execute("UPDATE people SET name = ?, hidden = ? WHERE id = ?", (*was, person))
        else:  # clustering may have added faces since: they stay together, without a name
            db.execute("UPDATE people SET hidden = 0 WHERE id = ?", (person,))
    for face, person, placed in before["faces"]:
        db.execute("UPDATE faces SET person_id = ?, placed = ? WHERE id = ?", (person, placed, face))
    db.executemany("DELETE FROM apart WHERE one = ? AND other = ?", before["parted"])
    for one, other in before["joined"]:
        faces = db.execute("SELECT count(*) FROM faces WHERE id IN (?, ?)", (one, other)).fetchone()[0]
        if faces == 2:  # else a photo has been removed since
            db.execute("INSERT OR IGNORE INTO apart VALUES (?, ?)", (one, other))
    keep_apart(db, album)
    drop_empty(db, album)
    db.execute("UPDATE events SET undone = 1 WHERE id = ?", (event["id"],))
    return event["id"], event["done"], concerned


@handles(AlbumHistory)
def history(db: sqlite3.Connection, album: int, message: AlbumHistory) -> AlbumHistoryListed:
    """A page of events, newest first, and the total number."""
    (total,) = db.execute("SELECT count(*) FROM events WHERE album_id = ?", (album,)).fetchone()
    rows = db.execute(
        "SELECT id, at, done, undone FROM events WHERE album_id = ? ORDER BY id DESC LIMIT ? OFFSET ?",
        (album, message.limit, message.offset),
    )
    events = tuple(AlbumEvent(row["id"], row["at"], row["done"], bool(row["undone"])) for row in rows)
    return AlbumHistoryListed(events, total)
