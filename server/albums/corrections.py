"""Users' corrections: names, merges, splits, moves, "not this person". Each is one event that can be undone.

Naming, merging, splitting, moving and hiding place the affected faces: clustering never moves them again. "Not" and
"different" are stored between faces, not people, because clustering creates and removes people but not faces.
Handlers raise UnknownPerson and BadRequest.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.albums.correcting import (
    AlbumChanged,
    AlbumDifferent,
    AlbumHide,
    AlbumLabel,
    AlbumMerge,
    AlbumMove,
    AlbumNot,
    AlbumSplit,
    AlbumUndo,
)
from facewire.protocol.albums.enrolling import AlbumRecognition
from facewire.protocol.text import counted, counted_people
from facewire.server.albums import faces, journal
from facewire.server.albums.handling import handles
from facewire.server.albums.journal import Correction
from facewire.server.errors import BadRequest
from facewire.server.gallery.names import person_name

# For two groups of faces that are not one person, only the most similar pairs are stored: those by which clustering
# would join them. All pairs of two people with a thousand faces each would be a million rows, for one click.
_MOST_PAIRS = 400


@handles(AlbumLabel, writing=True)
def label(db: sqlite3.Connection, album: int, message: AlbumLabel) -> AlbumChanged:
    """Name a person, or remove the name."""
    was = faces.person_row(db, album, message.person)
    correction = Correction(db, album)
    new = _name(message.name) if message.name.strip() else None
    _label(correction, message.person, new)
    shown = _called(was)
    return _changed(correction, f"named {shown} {new}" if new else f"took the name of {shown} away")


def recognised(db: sqlite3.Connection, album: int, matches: Sequence[AlbumRecognition]) -> int:
    """Names several people as one event. Returns the number of the event."""
    correction = Correction(db, album)
    for match in matches:
        _label(correction, match.person, _name(match.name))
    return correction.commit(f"named {counted_people(len(matches))} as the gallery knows them")


@handles(AlbumMerge, writing=True)
def merge(db: sqlite3.Connection, album: int, message: AlbumMerge) -> AlbumChanged:
    """Merge people into the first of them."""
    rows = [faces.person_row(db, album, person) for person in dict.fromkeys(message.people)]
    first, *others = rows
    correction = Correction(db, album)
    name = next((row["name"] for row in rows if row["name"] is not None), None)
    _merge(correction, first["id"], [row["id"] for row in others], name, hidden=bool(first["hidden"]))
    return _changed(correction, f"merged {counted_people(len(rows))} into {name or _called(first)}")


@handles(AlbumSplit, writing=True)
def split(db: sqlite3.Connection, album: int, message: AlbumSplit) -> AlbumChanged:
    """Make some of a person's faces a new person."""
    was = faces.person_row(db, album, message.person)
    mine, chosen = faces.faces_of(db, message.person), dict.fromkeys(message.faces)
    strangers = set(chosen) - set(mine)
    if strangers:
        raise BadRequest(f"face {min(strangers)} is not of person {message.person}")
    rest = [face for face in mine if face not in chosen]
    if not rest:
        raise BadRequest("a split leaves one face behind at least; to rename the person, use label")
    correction = Correction(db, album)
    target = correction.new_person()
    correction.place(chosen, target)
    correction.part(_nearest_pairs(db, list(message.faces), rest))
    if message.name.strip():
        _label(correction, target, _name(message.name))
    return _changed(correction, f"split {counted(len(chosen), 'face')} from {_called(was)}")


@handles(AlbumMove, writing=True)
def move(db: sqlite3.Connection, album: int, message: AlbumMove) -> AlbumChanged:
    """Move faces to a person."""
    target, chosen = faces.person_row(db, album, message.person), dict.fromkeys(message.faces)
    _must_have(db, album, chosen)
    correction = Correction(db, album)
    correction.place(chosen, message.person)
    correction.join(message.person)
    return _changed(correction, f"moved {counted(len(chosen), 'face')} to {_called(target)}")


@handles(AlbumNot, writing=True)
def not_person(db: sqlite3.Connection, album: int, message: AlbumNot) -> AlbumChanged:
    """State that faces are not this person. Those assigned to the person are removed from it."""
    target, chosen = faces.person_row(db, album, message.person), dict.fromkeys(message.faces)
    _must_have(db, album, chosen)
    mine = faces.faces_of(db, message.person)
    leaving = [face for face in mine if face in chosen]
    staying = [face for face in mine if face not in chosen]
    if not staying:
        raise BadRequest("these are all the faces of that person: take the name away, or give another, with label")
    correction = Correction(db, album)
    for face in chosen:  # one by one, to get the most similar pairs of each
        correction.part(_nearest_pairs(db, [face], staying))
    for face in leaving:
        correction.place([face], correction.new_person(), placed=False)
    return _changed(correction, f"{counted(len(chosen), 'face is', 'faces are')} not {_called(target)}")


@handles(AlbumDifferent, writing=True)
def different(db: sqlite3.Connection, album: int, message: AlbumDifferent) -> AlbumChanged:
    """State that two people are different."""
    one, other = (faces.person_row(db, album, person) for person in message.people)
    correction = Correction(db, album)
    correction.part(_nearest_pairs(db, faces.faces_of(db, one["id"]), faces.faces_of(db, other["id"])))
    for row in (one, other):
        correction.concerned[row["id"]] = None
    return _changed(correction, f"{_called(one)} and {_called(other)} are different people")


@handles(AlbumHide, writing=True)
def hide(db: sqlite3.Connection, album: int, message: AlbumHide) -> AlbumChanged:
    """Hide or unhide a person."""
    was = faces.person_row(db, album, message.person)
    correction = Correction(db, album)
    correction.describe(message.person, name=was["name"], hidden=message.hidden)
    correction.place(faces.faces_of(db, message.person), message.person)
    return _changed(correction, f"{'hid' if message.hidden else 'showed'} {_called(was)}")


@handles(AlbumUndo, writing=True)
def undo(db: sqlite3.Connection, album: int, _: AlbumUndo) -> AlbumChanged:
    """Undo the last correction. Raises BadRequest if there is none."""
    event, done, concerned = journal.undo(db, album)
    return AlbumChanged(event, f"undone: {done}", faces.some_people(db, album, concerned))


def _called(person: sqlite3.Row) -> str:
    """A person's display name."""
    return str(person["name"] or f"person {person['id']}")


def _name(text: str) -> str:
    try:
        return person_name(text)
    except ValueError as error:
        raise BadRequest(str(error)) from error


def _label(correction: Correction, person: int, name: str | None) -> None:
    db, album = correction.db, correction.album
    hidden = bool(faces.person_row(db, album, person)["hidden"])
    namesake = db.execute("SELECT id, hidden FROM people WHERE album_id = ? AND name = ?", (album, name)).fetchone()
    if namesake is not None and namesake["id"] != person:
        _merge(correction, namesake["id"], [person], name, hidden=bool(namesake["hidden"]))
        return
    correction.describe(person, name=name, hidden=hidden)
    correction.place(faces.faces_of(db, person), person)
    correction.join(person)


def _merge(correction: Correction, target: int, others: Iterable[int], name: str | None, *, hidden: bool) -> None:
    mine = faces.faces_of(correction.db, target)
    for other in others:
        mine += faces.faces_of(correction.db, other)
        correction.describe(other, name=None, hidden=False)  # only one person at a time may have a name
    correction.describe(target, name=name, hidden=hidden)
    correction.place(mine, target)
    correction.join(target)


def _must_have(db: sqlite3.Connection, album: int, chosen: Iterable[int]) -> None:
    for face in chosen:
        faces.face(db, album, face)


def _changed(correction: Correction, done: str) -> AlbumChanged:
    event = correction.commit(done)
    return AlbumChanged(event, done, faces.some_people(correction.db, correction.album, correction.concerned))


def _nearest_pairs(db: sqlite3.Connection, some: Sequence[int], others: Sequence[int]) -> list[tuple[int, int]]:
    """The most similar pairs of a face of `some` and a face of `others`; all pairs if there are few."""
    if len(some) * len(others) <= _MOST_PAIRS:
        return [(one, other) for one in some for other in others]
    similarity = (_embeddings(db, some) @ _embeddings(db, others).T).ravel()
    nearest = np.argpartition(-similarity, _MOST_PAIRS)[:_MOST_PAIRS]
    return [(some[place // len(others)], others[place % len(others)]) for place in nearest.tolist()]


def _embeddings(db: sqlite3.Connection, chosen: Sequence[int]) -> NDArray[np.float32]:
    query = "SELECT d.embedding FROM faces f JOIN detections d ON d.id = f.detection_id WHERE f.id = ?"
    return np.stack([np.frombuffer(db.execute(query, (face,)).fetchone()[0], "<f4") for face in chosen])
