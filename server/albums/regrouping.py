"""Clusters an album again around the faces placed by users. Corrections made meanwhile take precedence."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.server.albums import clustering, faces
from facewire.server.albums.database import Database
from facewire.server.albums.vectors import Vectors, VectorStore

_DESCRIBED = "SELECT id FROM people WHERE album_id = ? AND (name IS NOT NULL OR hidden OR stranger)"


@dataclass(frozen=True, slots=True)
class _Now:
    """A face's current state. `person`: to whom it is assigned; `placed`: by a user."""

    person: int
    placed: bool


def regroup(db: Database, album: int, store: VectorStore, *, settle: bool = True) -> int:
    """Clusters an album. Returns how many faces were reassigned.

    Without `settle`, only new faces are given to people, and provisionally: when it settles, they are clustered anew
    with all that came later, so that people don't depend on the order in which photos arrived.

    The computation holds no lock and may take minutes. Corrections made meanwhile are kept: faces changed since are
    left alone, and faces that must stay apart never end up with one person.
    """
    with db.reading() as reader:
        before = store.of(reader, album)
        apart = before.pairs(faces.apart(reader, album))
        described = [row[0] for row in reader.execute(_DESCRIBED, (album,))]
    if not len(before.ids):
        return 0
    fixed = _with_described(before, described)
    labels = clustering.cluster(
        before.embeddings, before.photos, before.people, fixed, apart, before.statistics, before.scale,
        loose=before.loose if settle else None, clarity=before.clarity,
    )  # fmt: skip
    with db.writing() as writer:
        changed = _apply(writer, album, before, labels, settle=settle)
        keep_apart(writer, album)
        drop_empty(writer, album)
    return changed


def _with_described(before: Vectors, described: list[int]) -> NDArray[np.bool_]:
    """The faces that clustering may not move: those placed by users, and one of everybody who is named, hidden or a
    stranger.

    Such a person may have lost all its placed faces, moved or removed with their photos. Fixing one face
    keeps the rest under that name, instead of letting them join somebody who has a placed face.
    """
    fixed = before.placed.copy()
    wanted = np.setdiff1d(np.array(described, np.int64), before.people[fixed])
    people, first = np.unique(before.people, return_index=True)
    fixed[first[np.isin(people, wanted)]] = True
    return fixed


def keep_apart(db: sqlite3.Connection, album: int) -> None:
    """If a person has two faces that must stay apart, moves the one not placed by a user to a new person."""
    rows = db.execute(
        "SELECT a.one, a.other, f.placed AS one_placed, g.placed AS other_placed FROM apart a "
        "JOIN faces f ON f.id = a.one JOIN faces g ON g.id = a.other JOIN photos p ON p.id = f.photo_id "
        "WHERE p.album_id = ? AND f.person_id = g.person_id ORDER BY a.one, a.other",
        (album,),
    ).fetchall()
    moved: set[int] = set()
    for row in rows:
        if row["one"] in moved or row["other"] in moved:
            continue
        face = row["other"] if row["one_placed"] or not row["other_placed"] else row["one"]
        db.execute("UPDATE faces SET person_id = ? WHERE id = ?", (new_person(db, album), face))
        moved.add(face)


def new_person(db: sqlite3.Connection, album: int) -> int:
    """Adds a person without a name or faces, and returns the id."""
    return int(db.execute("INSERT INTO people (album_id) VALUES (?)", (album,)).lastrowid or 0)


def drop_empty(db: sqlite3.Connection, album: int) -> None:
    """Deletes people who have no faces left."""
    db.execute(
        "DELETE FROM people WHERE album_id = ? AND NOT EXISTS (SELECT 1 FROM faces WHERE person_id = people.id)",
        (album,),
    )


def _apply(db: sqlite3.Connection, album: int, before: Vectors, labels: NDArray[np.int64], *, settle: bool) -> int:
    current = {
        row[0]: _Now(row[1], bool(row[2]))
        for row in db.execute(
            "SELECT f.id, coalesce(f.person_id, -1), f.placed FROM faces f JOIN photos p ON p.id = f.photo_id "
            "WHERE p.album_id = ?",
            (album,),
        )
    }
    known = {row[0] for row in db.execute("SELECT id FROM people WHERE album_id = ?", (album,))}
    settled = set(before.people.tolist())
    number_of: dict[int, int] = {}
    updates = []
    for face, was, placed, label in zip(
        before.ids.tolist(), before.people.tolist(), before.placed.tolist(), labels.tolist(), strict=True
    ):
        if placed or current.get(face) != _Now(was, placed) or label == was or (was >= 0 and not settle):
            continue
        if label in settled:
            if label not in known:
                continue  # merged or undone meanwhile: left to the next run
            target = label
        else:
            if label not in number_of:
                number_of[label] = new_person(db, album)
            target = number_of[label]
        updates.append((target, not settle, face))
    db.executemany("UPDATE faces SET person_id = ?, provisional = ? WHERE id = ?", updates)
    if settle:
        ids = ((face,) for face in before.ids[before.loose].tolist())
        db.executemany("UPDATE faces SET provisional = 0 WHERE id = ?", ids)
    return len(updates)
