"""People beyond corrections: who may be one, who the gallery knows, and enrolling them there."""

from __future__ import annotations

import sqlite3

import numpy as np

from protocol.album_messages import (
    AlbumEnrolled,
    AlbumRecognised,
    AlbumRecognition,
    AlbumSuggested,
    AlbumSuggestion,
)
from server.albums import clustering, corrections, faces
from server.albums.database import Database
from server.albums.lending import Registry
from server.albums.vectors import VectorStore, group_means
from server.errors import BadRequest
from server.gallery.records import NewPicture


class GalleryTies:
    """Thread-safe; holds nothing but its tools."""

    def __init__(self, db: Database, vectors: VectorStore, registry: Registry) -> None:
        self._db = db
        self._vectors = vectors
        self._registry = registry

    def suggest(self, db: sqlite3.Connection, album: int, limit: int) -> AlbumSuggested:
        """Pairs of people who may be one, those first whose answer settles most faces; hidden people are left out."""
        vectors = self._vectors.of(db, album)
        hidden = {row[0] for row in db.execute("SELECT id FROM people WHERE album_id = ? AND hidden", (album,))}
        apart = vectors.pairs(faces.apart(db, album))
        pairs = clustering.suggestions(
            vectors.embeddings, vectors.people, vectors.photos, apart, vectors.statistics, vectors.scale
        )
        suggested: list[AlbumSuggestion] = []
        for one, other, similarity, settled in pairs:
            if len(suggested) == limit:
                break
            if not hidden & {one, other}:
                first, second = faces.some_people(db, album, (one, other))
                suggested.append(AlbumSuggestion(first, second, similarity, settled))
        return AlbumSuggested(tuple(suggested))

    def recognise(self, album: int, *, apply: bool) -> AlbumRecognised:
        """Which people without a name the gallery knows, by the mean of their faces; the most similar first.

        Two of them may get one name; with `apply` they become one person, for so a name works.
        """
        with self._db.reading() as db:
            vectors = self._vectors.of(db, album)
            query = "SELECT id FROM people WHERE album_id = ? AND name IS NULL AND NOT hidden "
            nameless = {row[0] for row in db.execute(query, (album,))}
        numbers, group_of = np.unique(vectors.people, return_inverse=True)
        means = group_means(vectors.embeddings, group_of, len(numbers))
        matches = []
        for person, mean in zip(numbers.tolist(), means, strict=True):
            known = self._registry.recognise(mean) if person in nameless else None
            if known is not None:
                matches.append(AlbumRecognition(person, known.name, known.similarity, known.threshold))
        matches.sort(key=lambda match: (-match.similarity, match.person))
        if not (apply and matches):
            return AlbumRecognised(tuple(matches), None)
        with self._db.writing() as db:
            there = {
                row[0] for row in db.execute("SELECT id FROM people WHERE album_id = ? AND name IS NULL", (album,))
            }
            current = [match for match in matches if match.person in there]  # the others were corrected meanwhile
            event = corrections.recognised(db, album, current) if current else None
        return AlbumRecognised(tuple(current), event)

    def enrol(self, album: int, person: int, templates: int) -> AlbumEnrolled:
        """Enrols a person's best faces, one a photo. Raises UnknownPerson; BadRequest for one without a name."""
        with self._db.reading() as db:
            name = faces.person_row(db, album, person)["name"]
            if name is None:
                raise BadRequest("only somebody with a name can be enrolled: label them first")
            pictures = [
                NewPicture(
                    sha256=row["sha256"],
                    size_bytes=row["size"],
                    path=row["photo_name"],
                    width=row["width"],
                    height=row["height"],
                    templates=(faces.template(row),),
                )
                for row in faces.best_faces(db, person, templates)
            ]
        return AlbumEnrolled(name, self._registry.enrol(name, pictures))
