"""What users say about people: names, merges, splits, moves, "not this person". Each is one event that can be undone.

Naming, merging, splitting, moving and hiding place the faces concerned: clustering never moves them again. "Not" and
"different" are kept between faces, not between people, for people come and go with clustering and faces don't.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.albums.correcting import AlbumChanged
from facewire.protocol.albums.enrolling import AlbumRecognition
from facewire.protocol.text import counted, counted_people
from facewire.server.albums import faces, journal
from facewire.server.albums.journal import Correction
from facewire.server.errors import BadRequest
from facewire.server.gallery.names import person_name

# Pairs noted of two groups of faces that are not one person, the most similar ones: those by which clustering would
# join them. All pairs of two people with a thousand faces each would be a million rows, for one click.
_MOST_PAIRS = 400


def label(db: sqlite3.Connection, album: int, person: int, name: str) -> AlbumChanged:
    """Names a person; see AlbumLabel. Raises UnknownPerson, BadRequest."""
    was = faces.person_row(db, album, person)
    correction = Correction(db, album)
    new = _name(name) if name.strip() else None
    _label(correction, person, new)
    shown = was["name"] or f"person {person}"
    return _changed(correction, f"named {shown} {new}" if new else f"took the name of {shown} away")


def recognised(db: sqlite3.Connection, album: int, matches: Sequence[AlbumRecognition]) -> int:
    """Names several people at once, as one event; its number."""
    correction = Correction(db, album)
    for match in matches:
        _label(correction, match.person, _name(match.name))
    return correction.commit(f"named {counted_people(len(matches))} as the gallery knows them")


def merge(db: sqlite3.Connection, album: int, people: Sequence[int]) -> AlbumChanged:
    """These are one; see AlbumMerge. Raises UnknownPerson."""
    rows = [faces.person_row(db, album, person) for person in dict.fromkeys(people)]
    correction = Correction(db, album)
    name = next((row["name"] for row in rows if row["name"] is not None), None)
    _merge(correction, people[0], [row["id"] for row in rows[1:]], name, hidden=bool(rows[0]["hidden"]))
    return _changed(correction, f"merged {counted_people(len(rows))} into {name or f'person {people[0]}'}")


def split(db: sqlite3.Connection, album: int, person: int, chosen: Sequence[int], name: str) -> AlbumChanged:
    """These faces of a person are another; see AlbumSplit. Raises UnknownPerson, BadRequest."""
    was = faces.person_row(db, album, person)
    mine = faces.faces_of(db, person)
    strangers = set(chosen) - set(mine)
    if strangers:
        raise BadRequest(f"face {min(strangers)} is not of person {person}")
    rest = [face for face in mine if face not in set(chosen)]
    if not rest:
        raise BadRequest("a split leaves one face behind at least; to rename the person, use label")
    correction = Correction(db, album)
    target = correction.new_person()
    correction.place(dict.fromkeys(chosen), target)
    correction.part(_nearest_pairs(db, list(chosen), rest))
    if name.strip():
        _label(correction, target, _name(name))
    return _changed(correction, f"split {counted(len(set(chosen)), 'face')} from {was['name'] or f'person {person}'}")


def move(db: sqlite3.Connection, album: int, chosen: Sequence[int], person: int) -> AlbumChanged:
    """These faces are of that person. Raises UnknownPerson, BadRequest."""
    target = faces.person_row(db, album, person)
    _must_have(db, album, chosen)
    correction = Correction(db, album)
    correction.place(dict.fromkeys(chosen), person)
    correction.join(person)
    return _changed(correction, f"moved {counted(len(set(chosen)), 'face')} to {target['name'] or f'person {person}'}")


def not_person(db: sqlite3.Connection, album: int, chosen: Sequence[int], person: int) -> AlbumChanged:
    """These faces are not of that person; see AlbumNot. Raises UnknownPerson, BadRequest."""
    target = faces.person_row(db, album, person)
    _must_have(db, album, chosen)
    mine = faces.faces_of(db, person)
    leaving = [face for face in mine if face in set(chosen)]
    staying = [face for face in mine if face not in set(chosen)]
    if not staying:
        raise BadRequest("these are all the faces of that person: take the name away, or give another, with label")
    correction = Correction(db, album)
    for face in dict.fromkeys(chosen):  # one by one: the most similar pairs of each
        correction.part(_nearest_pairs(db, [face], staying))
    for face in leaving:
        correction.place([face], correction.new_person(), placed=False)
    return _changed(
        correction, f"{counted(len(set(chosen)), 'face is', 'faces are')} not {target['name'] or f'person {person}'}"
    )


def different(db: sqlite3.Connection, album: int, one: int, other: int) -> AlbumChanged:
    """These are two people. Raises UnknownPerson."""
    rows = [faces.person_row(db, album, person) for person in (one, other)]
    correction = Correction(db, album)
    correction.part(_nearest_pairs(db, faces.faces_of(db, one), faces.faces_of(db, other)))
    names = [row["name"] or f"person {row['id']}" for row in rows]
    for row in rows:
        correction.concerned[row["id"]] = None
    return _changed(correction, f"{names[0]} and {names[1]} are different people")


def hide(db: sqlite3.Connection, album: int, person: int, *, hidden: bool) -> AlbumChanged:
    """Hides a person, or shows them again. Raises UnknownPerson."""
    was = faces.person_row(db, album, person)
    correction = Correction(db, album)
    correction.describe(person, name=was["name"], hidden=hidden)
    correction.place(faces.faces_of(db, person), person)
    return _changed(correction, f"{'hid' if hidden else 'showed'} {was['name'] or f'person {person}'}")


def undo(db: sqlite3.Connection, album: int) -> AlbumChanged:
    """Takes the last correction back. Raises BadRequest where there is none."""
    event, done, concerned = journal.undo(db, album)
    return AlbumChanged(event, f"undone: {done}", faces.some_people(db, album, concerned))


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
        correction.describe(other, name=None, hidden=False)  # a name is of one person at a time
    correction.describe(target, name=name, hidden=hidden)
    correction.place(mine, target)
    correction.join(target)


def _must_have(db: sqlite3.Connection, album: int, chosen: Sequence[int]) -> None:
    for face in chosen:
        faces.face(db, album, face)


def _changed(correction: Correction, done: str) -> AlbumChanged:
    event = correction.commit(done)
    return AlbumChanged(event, done, faces.some_people(correction.db, correction.album, correction.concerned))


def _nearest_pairs(db: sqlite3.Connection, some: Sequence[int], others: Sequence[int]) -> list[tuple[int, int]]:
    """The most similar pairs of a face of `some` and a face of `others`; all, where there are few."""
    if len(some) * len(others) <= _MOST_PAIRS:
        return [(one, other) for one in some for other in others]
    similarity = (_embeddings(db, some) @ _embeddings(db, others).T).ravel()
    nearest = np.argpartition(-similarity, _MOST_PAIRS)[:_MOST_PAIRS]
    return [(some[place // len(others)], others[place % len(others)]) for place in nearest.tolist()]


def _embeddings(db: sqlite3.Connection, chosen: Sequence[int]) -> NDArray[np.float32]:
    query = "SELECT d.embedding FROM faces f JOIN detections d ON d.id = f.detection_id WHERE f.id = ?"
    return np.stack([np.frombuffer(db.execute(query, (face,)).fetchone()[0], "<f4") for face in chosen])
