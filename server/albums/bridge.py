"""The gallery bridge: recognises an album's people in the gallery and enrols them there. Also suggests merges."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from facewire.protocol.albums.correcting import AlbumSuggest, AlbumSuggested, AlbumSuggestion
from facewire.protocol.albums.enrolling import (
    AlbumEnrol,
    AlbumEnrolled,
    AlbumLeftOut,
    AlbumRecognise,
    AlbumRecognised,
    AlbumRecognition,
)
from facewire.protocol.gallery_messages import MAX_LABEL, Acceptable, Enrol, Enrolled, Rejection
from facewire.server.albums import clustering, corrections, faces
from facewire.server.albums.database import Database
from facewire.server.albums.judge import Judge
from facewire.server.albums.stills import Stills, scale_of
from facewire.server.albums.vectors import VectorStore, group_means
from facewire.server.errors import BadRequest

HELD_BYTES = 64 * 1024 * 1024
"""Bytes of photos held in memory at once while enrolling a person."""


_Held = tuple[sqlite3.Row, bytes]
"""A face and its photo's bytes."""


class GalleryBridge:
    """Stateless and thread-safe."""

    def __init__(
        self,
        db: Database,
        stills: Stills,
        vectors: VectorStore,
        judge: Judge,
        enrol: Callable[[Enrol], Enrolled],
    ) -> None:
        """`enrol` adds pictures to a person of the gallery."""
        self._db = db
        self._stills = stills
        self._vectors = vectors
        self._judge = judge
        self._enrol = enrol

    def suggest(self, db: sqlite3.Connection, album: int, message: AlbumSuggest) -> AlbumSuggested:
        """Pairs of people who may be the same, most faces settled by the answer first, single faces of the background
        last. Hidden people and strangers are left out, except the one who is asked about. Raises UnknownPerson."""
        if message.person is not None:
            faces.person_row(db, album, message.person)
        vectors = self._vectors.of(db, album)
        query = "SELECT id FROM people WHERE album_id = ? AND (hidden OR stranger)"
        left_out = {row[0] for row in db.execute(query, (album,))} - {message.person}
        apart = vectors.pairs(faces.apart(db, album))
        pairs = clustering.suggestions(
            vectors.embeddings, vectors.people, vectors.photos, apart, vectors.statistics, vectors.scale,
            poor=np.isin(vectors.ids, faces.in_the_background(db, album)), about=message.person,
            clarity=vectors.clarity,
        )  # fmt: skip
        suggested: list[AlbumSuggestion] = []
        for pair in pairs:
            if len(suggested) == message.limit:
                break
            if not left_out & {pair.first, pair.second}:
                one, other = faces.some_people(db, album, (pair.first, pair.second))
                suggested.append(AlbumSuggestion(one, other, pair.similarity, pair.faces, pair.poor))
        return AlbumSuggested(tuple(suggested))

    def recognise(self, album: int, message: AlbumRecognise) -> AlbumRecognised:
        """Recognises unnamed people by the mean of their faces; most similar first.

        Two of them may get the same name; with `apply` they become one person, as always when a name is given twice.
        """
        with self._db.reading() as db:
            vectors = self._vectors.of(db, album)
            query = "SELECT id FROM people WHERE album_id = ? AND name IS NULL AND NOT hidden AND NOT stranger"
            nameless = {row[0] for row in db.execute(query, (album,))}
        if message.people:
            nameless &= set(message.people)
        numbers, group_of = np.unique(vectors.people, return_inverse=True)
        means = group_means(vectors.embeddings, group_of, len(numbers))
        matches = []
        for person, mean in zip(numbers.tolist(), means, strict=True):
            known = self._judge.named(mean) if person in nameless else None
            if known is not None:
                match, threshold = known
                matches.append(AlbumRecognition(person, match.name, match.similarity, threshold))
        matches.sort(key=lambda match: (-match.similarity, match.person))
        if not (message.apply and matches):
            return AlbumRecognised(tuple(matches), None)
        with self._db.writing() as db:
            there = {
                row[0] for row in db.execute("SELECT id FROM people WHERE album_id = ? AND name IS NULL", (album,))
            }
            current = [match for match in matches if match.person in there]  # users corrected the others meanwhile
            event = corrections.recognised(db, album, current) if current else None
        return AlbumRecognised(tuple(current), event)

    def enrol(self, album: int, message: AlbumEnrol) -> AlbumEnrolled:
        """Enrols a person's best faces, one per photo. Raises UnknownPerson; BadRequest if the person has no name.

        The photos are enrolled like any other picture, not as embeddings: the gallery's checks need to see them, and
        its templates keep a crop that can be shown and embedded by another model.
        """
        with self._db.reading() as db:
            name = faces.person_row(db, album, message.person)["name"]
            if name is None:
                raise BadRequest("only a named person can be enrolled: label them first")
            rows = faces.best_faces(db, message.person, message.templates)
        left_out: list[AlbumLeftOut] = []
        templates = 0
        for some in _held_at_once(rows):
            held = self._read(some)
            if not held:
                continue
            enrolled = self._enrol(_enrolment(name, held, message.accept))
            left_out += [_left_out(held[one.index][0], one) for one in enrolled.rejected]
            templates = enrolled.person.templates if enrolled.person else 0
        return AlbumEnrolled(name, templates, tuple(left_out))

    def _read(self, rows: Sequence[sqlite3.Row]) -> list[_Held]:
        """Faces with their photos, except those whose photo was deleted meanwhile."""
        held = []
        for row in rows:
            with contextlib.suppress(FileNotFoundError):
                held.append((row, self._stills.picture(row["sha256"], row["at"])))
        return held


def _enrolment(name: str, held: Sequence[_Held], accept: tuple[Acceptable, ...]) -> Enrol:
    return Enrol(
        name,
        images=tuple(photo for _, photo in held),
        labels=tuple(row["photo_name"][-MAX_LABEL:] for row, _ in held),
        points=tuple(_middle(row) for row, _ in held),
        accept=accept,
    )


def _middle(row: sqlite3.Row) -> tuple[float, float]:
    """Of a face in its picture."""
    scale = scale_of(row["width"], row["height"], row["at"])
    return scale * (row["x"] + row["w"] / 2), scale * (row["y"] + row["h"] / 2)


def _held_at_once(rows: Sequence[sqlite3.Row]) -> Iterator[Sequence[sqlite3.Row]]:
    """Splits `rows` into batches whose photos total at most HELD_BYTES; a larger photo is a batch of its own."""
    start, held = 0, 0
    for number, row in enumerate(rows):
        if number > start and held + row["size"] > HELD_BYTES:
            yield rows[start:number]
            start, held = number, 0
        held += row["size"]
    if rows:
        yield rows[start:]


def _left_out(row: sqlite3.Row, rejection: Rejection) -> AlbumLeftOut:
    return AlbumLeftOut(row["id"], row["photo_name"], rejection.reason, rejection.message, rejection.shortcomings)
