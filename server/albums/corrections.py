"""Users' corrections: names, merges, splits, moves, "not this person". Each is one event that can be undone.

Naming, merging, splitting, moving and hiding place the affected faces: clustering never moves them again. "Not" and
"different" are stored between faces, not people, because clustering creates and removes people but not faces.
Handlers raise UnknownPerson, BadRequest and Conflict.
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
    AlbumStranger,
    AlbumUndo,
)
from facewire.protocol.albums.enrolling import AlbumRecognition
from facewire.protocol.text import counted, counted_people
from facewire.server.albums import faces, journal
from facewire.server.albums.handling import handles
from facewire.server.albums.journal import Correction
from facewire.server.errors import BadRequest
from facewire.server.names import person_name

# For two groups of faces that are not one person, only the most similar pairs are stored: those by which clustering
# would join them. All pairs of two people with a thousand faces each would be a million rows, for one click.
_MOST_PAIRS = 400


@handles(AlbumLabel, writing=True)
def label(db: sqlite3.Connection, album: int, message: AlbumLabel) -> AlbumChanged:
    """Name a person, or remove the name."""
    was = faces.person_row(db, album, message.person)
    of_whom = counted(len(faces.faces_of(db, message.person)), "face")
    correction = Correction(db, album)
    new = _name(message.name) if message.name.strip() else None
    _label(correction, message.person, new)
    if new is None:
        done = f"took the name {was['name']} from {of_whom}" if was["name"] else f"left {of_whom} unnamed"
        return _changed(correction, done)
    return _changed(correction, f"renamed {was['name']} to {new}" if was["name"] else f"named {of_whom} {new}")


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
    shown = _called(db, first)
    correction = Correction(db, album)
    name = next((row["name"] for row in rows if row["name"] is not None), None)
    stranger = bool(first["stranger"]) and name is None
    _merge(
        correction, first["id"], [row["id"] for row in others], name, hidden=bool(first["hidden"]), stranger=stranger
    )
    return _changed(correction, f"merged {counted_people(len(rows))} into {name or shown}")


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
        raise BadRequest("a split must leave at least one face; to rename the person, use label")
    shown = _called(db, was)
    correction = Correction(db, album)
    target = correction.new_person()
    correction.place(chosen, target)
    correction.part(_nearest_pairs(db, list(message.faces), rest))
    if message.name.strip():
        _label(correction, target, _name(message.name))
    return _changed(correction, f"split {counted(len(chosen), 'face')} from {shown}")


@handles(AlbumMove, writing=True)
def move(db: sqlite3.Connection, album: int, message: AlbumMove) -> AlbumChanged:
    """Move faces to a person."""
    target, chosen = faces.person_row(db, album, message.person), dict.fromkeys(message.faces)
    _must_have(db, album, chosen)
    shown = _called(db, target)
    correction = Correction(db, album)
    correction.place(chosen, message.person)
    correction.join(message.person)
    return _changed(correction, f"moved {counted(len(chosen), 'face')} to {shown}")


@handles(AlbumNot, writing=True)
def not_person(db: sqlite3.Connection, album: int, message: AlbumNot) -> AlbumChanged:
    """State that faces are not this person. Those assigned to the person are removed from it."""
    target, chosen = faces.person_row(db, album, message.person), dict.fromkeys(message.faces)
    _must_have(db, album, chosen)
    mine = faces.faces_of(db, message.person)
    leaving = [face for face in mine if face in chosen]
    staying = [face for face in mine if face not in chosen]
    if not staying:
        raise BadRequest("these are all the person's faces: use label to remove or change the name")
    shown = _called(db, target)
    correction = Correction(db, album)
    for face in chosen:  # one by one, to get the most similar pairs of each
        correction.part(_nearest_pairs(db, [face], staying))
    for face in leaving:
        correction.place([face], correction.new_person(), placed=False)
    return _changed(correction, f"{counted(len(chosen), 'face is', 'faces are')} not {shown}")


@handles(AlbumDifferent, writing=True)
def different(db: sqlite3.Connection, album: int, message: AlbumDifferent) -> AlbumChanged:
    """State that two people are different."""
    one, other = (faces.person_row(db, album, person) for person in message.people)
    correction = Correction(db, album)
    correction.part(_nearest_pairs(db, faces.faces_of(db, one["id"]), faces.faces_of(db, other["id"])))
    for row in (one, other):
        correction.concerned[row["id"]] = None
    return _changed(correction, f"{_called(db, one)} and {_called(db, other)} are different people")


@handles(AlbumHide, writing=True)
def hide(db: sqlite3.Connection, album: int, message: AlbumHide) -> AlbumChanged:
    """Hide or unhide people."""
    people = message.people if message.person is None else (message.person,)
    rows = [faces.person_row(db, album, person) for person in dict.fromkeys(people)]
    correction = Correction(db, album)
    who = _all_called(db, rows)
    for row in rows:
        correction.describe(row["id"], name=row["name"], hidden=message.hidden, stranger=bool(row["stranger"]))
        correction.place(faces.faces_of(db, row["id"]), row["id"])
    return _changed(correction, f"{'hid' if message.hidden else 'showed'} {who}")


@handles(AlbumStranger, writing=True)
def stranger(db: sqlite3.Connection, album: int, message: AlbumStranger) -> AlbumChanged:
    """State that nobody knows these people, or that somebody does after all."""
    rows = [faces.person_row(db, album, person) for person in dict.fromkeys(message.people)]
    named = next((row for row in rows if row["name"] is not None), None)
    if named is not None:
        raise BadRequest(f"person {named['id']} is called {named['name']}: take the name away first")
    who = _all_called(db, rows)
    correction = Correction(db, album)
    for row in rows:
        correction.describe(row["id"], name=None, hidden=bool(row["hidden"]), stranger=message.stranger)
        correction.place(faces.faces_of(db, row["id"]), row["id"])
    return _changed(correction, f"nobody knows {who}" if message.stranger else f"will ask about {who} again")


@handles(AlbumUndo, writing=True)
def undo(db: sqlite3.Connection, album: int, message: AlbumUndo) -> AlbumChanged:
    """Undo the last correction. Raises Conflict if there is none, or another than the client believes."""
    event, done, concerned = journal.undo(db, album, message.last)
    return AlbumChanged(event, f"undone: {done}", faces.some_people(db, album, concerned))


def _called(db: sqlite3.Connection, person: sqlite3.Row) -> str:
    """A person in words: the name, or how many faces, as clustering's numbers mean nothing to anybody."""
    if person["name"]:
        return str(person["name"])
    return f"somebody unnamed with {counted(len(faces.faces_of(db, person['id'])), 'face')}"


def _all_called(db: sqlite3.Connection, people: Sequence[sqlite3.Row]) -> str:
    return _called(db, people[0]) if len(people) == 1 else counted_people(len(people))


def _name(text: str) -> str:
    try:
        return person_name(text)
    except ValueError as error:
        raise BadRequest(str(error)) from error


def person_for(correction: Correction, person: int | None, name: str) -> tuple[int, str | None]:
    """Who a face is for: this person, or whoever is called so, or somebody new; and what to call them, None if nobody
    said who it is. Raises UnknownPerson and BadRequest."""
    db, album = correction.db, correction.album
    if person is not None:
        return person, _called(db, faces.person_row(db, album, person))
    if not name.strip():
        return correction.new_person(), None
    wanted = _name(name)
    row = db.execute("SELECT id FROM people WHERE album_id = ? AND name = ?", (album, wanted)).fetchone()
    if row is not None:
        return row["id"], wanted
    new = correction.new_person()
    correction.describe(new, name=wanted, hidden=False)
    return new, wanted


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


def _merge(
    correction: Correction,
    target: int,
    others: Iterable[int],
    name: str | None,
    *,
    hidden: bool,
    stranger: bool = False,
) -> None:
    mine = faces.faces_of(correction.db, target)
    for other in others:
        mine += faces.faces_of(correction.db, other)
        correction.describe(other, name=None, hidden=False)  # only one person at a time may have a name
    correction.describe(target, name=name, hidden=hidden, stranger=stranger)
    correction.place(mine, target)
    correction.join(target)


def _must_have(db: sqlite3.Connection, album: int, chosen: Iterable[int]) -> None:
    for face in chosen:
        faces.face(db, album, face)


def _changed(correction: Correction, done: str) -> AlbumChanged:
    event = correction.commit(done)
    return AlbumChanged(event, done, faces.some_people(correction.db, correction.album, correction.concerned))


def _nearest_pairs(db: sqlite3.Connection, some: Sequence[int], others: Sequence[int]) -> list[tuple[int, int]]:
    """The most similar pairs of a face of `some` and a face of `others`; all pairs if there are few.

    Of many, those with faces that have no embedding are left out: clustering joins nothing by these."""
    if len(some) * len(others) <= _MOST_PAIRS:
        return [(one, other) for one in some for other in others]
    some, others = _embedded(db, some), _embedded(db, others)
    if len(some) * len(others) <= _MOST_PAIRS:
        return [(one, other) for one in some for other in others]
    similarity = (_embeddings(db, some) @ _embeddings(db, others).T).ravel()
    nearest = np.argpartition(-similarity, _MOST_PAIRS)[:_MOST_PAIRS]
    return [(some[place // len(others)], others[place % len(others)]) for place in nearest.tolist()]


def _embedded(db: sqlite3.Connection, chosen: Sequence[int]) -> list[int]:
    """Those of these faces that have an embedding."""
    query = "SELECT length(d.embedding) FROM faces f JOIN detections d ON d.id = f.detection_id WHERE f.id = ?"
    return [face for face in chosen if db.execute(query, (face,)).fetchone()[0]]


def _embeddings(db: sqlite3.Connection, chosen: Sequence[int]) -> NDArray[np.float32]:
    query = "SELECT d.embedding FROM faces f JOIN detections d ON d.id = f.detection_id WHERE f.id = ?"
    return np.stack([np.frombuffer(db.execute(query, (face,)).fetchone()[0], "<f4") for face in chosen])
