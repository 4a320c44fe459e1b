"""Finds photos of one or several people, given by sample pictures or by faces or people of the album."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.albums.export import AlbumExport
from facewire.protocol.albums.search import (
    AlbumFound,
    AlbumFoundPhoto,
    AlbumMatch,
    AlbumSample,
    AlbumSampleFace,
    AlbumSearch,
    AlbumWanted,
    AlbumWantedSeen,
    ShowFound,
    Together,
)
from facewire.protocol.errors import UnsupportedOp
from facewire.protocol.text import counted
from facewire.server.albums import catalogue, faces
from facewire.server.albums.database import Database
from facewire.server.albums.describing import Describing
from facewire.server.albums.judge import Judge
from facewire.server.albums.pictures import look_at
from facewire.server.albums.settings import AlbumLimits
from facewire.server.albums.vectors import Vectors, VectorStore, group_means, group_statistics
from facewire.server.errors import BadRequest, NoFace, OverLimit
from facewire.server.vision.engine import Engine

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A wanted person: (m, d) embeddings of samples and faces, and people of the album."""

    embeddings: Floats
    people: tuple[int, ...]
    samples: tuple[tuple[AlbumSampleFace, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Hits:
    """One wanted person's result, per row of the view: similarity, whether the face matches, and whether by its own
    similarity rather than its person's."""

    similarity: Floats
    matched: NDArray[np.bool_]
    by_face: NDArray[np.bool_]
    nearest: float | None
    threshold: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A found photo. `rows`: for each wanted person, the rows of the matching faces."""

    photo: int
    similarity: float
    solo: bool
    rows: tuple[tuple[int, ...], ...]


class Search:
    """Stateless and thread-safe."""

    def __init__(
        self,
        db: Database,
        vectors: VectorStore,
        engine: Engine,
        judge: Judge,
        limits: AlbumLimits,
        describing: Describing | None = None,
    ) -> None:
        """`describing` None: no search by text."""
        self._db = db
        self._describing = describing
        self._vectors = vectors
        self._engine = engine
        self._judge = judge
        self._limits = limits

    def probes(self, wanted: Sequence[AlbumWanted]) -> list[Probe]:
        """Embeds the samples. Raises InvalidImage, NoFace, OverLimit, BadRequest.

        A sample without faces, or with all of them excluded, is an error, because its sender believes that it counts.
        """
        if sum(len(one.samples) for one in wanted) > self._limits.samples:
            raise OverLimit(f"a search takes {self._limits.samples} samples at most")
        return [self._probe(one) for one in wanted]

    def search(self, album: int, message: AlbumSearch) -> AlbumFound:
        """A page of results. Raises as `probes`; UnknownPerson or BadRequest for people or faces not in the album;
        UnsupportedOp for a text, without a model for it."""
        text = self._text(message.text)
        probes = self.probes(message.wanted)
        with self._db.reading() as db:
            view = _View(db, album, self._vectors.of(db, album), self._judge)
            hits = [view.hits(view.completed(probe, one)) for probe, one in zip(probes, message.wanted, strict=True)]
            found = view.photos(hits, message.together)
            if text is not None:
                found = view.ranked(found if message.wanted else None, text(db, album))
            if message.since or message.until:
                days = catalogue.photos_of_days(db, album, message.since, message.until)
                found = [hit for hit in found if hit.photo in days]
            shown = _shown(found, message.show)
            page = shown[message.offset : message.offset + message.limit]
            photos = tuple(view.found_photo(hit, hits) for hit in page)
        solo = sum(hit.solo for hit in found)
        seen = tuple(
            AlbumWantedSeen(bool(hit.matched.any()), hit.nearest, hit.threshold, probe.samples)
            for hit, probe in zip(hits, probes, strict=True)
        )
        return AlbumFound(photos, len(shown), solo, len(found) - solo, seen, self._judge.error_rate)

    def photos(self, db: sqlite3.Connection, album: int, message: AlbumExport, probes: list[Probe]) -> list[int]:
        """The ids of all photos found that are shown, most similar first; of any day."""
        view = _View(db, album, self._vectors.of(db, album), self._judge)
        hits = [view.hits(view.completed(probe, one)) for probe, one in zip(probes, message.wanted, strict=True)]
        return [hit.photo for hit in _shown(view.photos(hits, message.together), message.show)]

    def _text(self, text: str) -> Callable[[sqlite3.Connection, int], dict[int, float]] | None:
        """What tells how similar photos are to this text; None if there is no text."""
        if not text.strip():
            return None
        if self._describing is None:
            raise UnsupportedOp(
                "this server has no model for searching by text; its owner can name one (--clip, docs/text-search.md)"
            )
        return partial(self._describing.similarities, wanted=self._describing.wanted(text))

    def _probe(self, wanted: AlbumWanted) -> Probe:
        seen, embeddings = [], []
        for sample in wanted.samples:
            faces_seen, embedded = self._sample(sample)
            seen.append(faces_seen)
            embeddings.append(embedded)
        dimension = self._engine.spec.dimension
        stacked = np.concatenate([np.zeros((0, dimension), np.float32), *embeddings])
        return Probe(stacked, wanted.people, tuple(seen))

    def _sample(self, sample: AlbumSample) -> tuple[tuple[AlbumSampleFace, ...], Floats]:
        look_at(self._engine.decoder, sample.image, self._limits)
        found = self._engine.faces(sample.image).faces
        wrong = [number for number in sample.leave_out if not 0 <= number < len(found)]
        if wrong:
            raise BadRequest(
                f"a sample has {counted(len(found), 'face')}, from 0 on: there is no {wrong[0]} to leave out"
            )
        used = [face for number, face in enumerate(found) if number not in sample.leave_out]
        if not used:
            raise NoFace("a sample shows no face, or all its faces are left out: send a picture of the person to find")
        seen = tuple(AlbumSampleFace(face.box, number not in sample.leave_out) for number, face in enumerate(found))
        return seen, self._engine.templates([face.crop for face in used])


def _shown(found: list[Hit], show: ShowFound) -> list[Hit]:
    """Of the photos found, all, or those of one face, or of more."""
    return [hit for hit in found if show == "all" or hit.solo == (show == "solo")]


class _View:
    """A snapshot of an album. Its rows are those of the vectors, followed by the faces without an embedding, which are
    found by the person whom a user said they are."""

    def __init__(self, db: sqlite3.Connection, album: int, vectors: Vectors, judge: Judge) -> None:
        self._db = db
        self._album = album
        self._vectors = vectors
        self._judge = judge
        numbers, self._person_of = np.unique(vectors.people, return_inverse=True)
        self._people = numbers
        self._means = group_means(vectors.embeddings, self._person_of, len(numbers))
        self._statistics = group_statistics(vectors.statistics, self._person_of, len(numbers))
        unseen = np.array(faces.without_embedding(db, album), np.int64).reshape(-1, 3)
        self._ids = np.concatenate([vectors.ids, unseen[:, 0]])
        self._photos = np.concatenate([vectors.photos, unseen[:, 1]])
        self._whose = np.concatenate([vectors.people, unseen[:, 2]])
        photo_numbers, counts = np.unique(self._photos, return_counts=True)
        self._faces_in = dict(zip(photo_numbers.tolist(), counts.tolist(), strict=True))

    def completed(self, probe: Probe, wanted: AlbumWanted) -> Probe:
        """The probe with the embeddings of the album's own faces added. Raises UnknownPerson, BadRequest."""
        for person in wanted.people:
            faces.person_row(self._db, self._album, person)
        for face in wanted.faces:
            faces.face(self._db, self._album, face)
        own = self._vectors.embeddings[self._vectors.rows_of(wanted.faces)]
        return replace(probe, embeddings=np.concatenate([probe.embeddings, own]))

    def hits(self, probe: Probe) -> _Hits:
        """A face matches if its own similarity, or that of its person's mean, reaches the threshold."""
        vectors = self._vectors
        count = len(vectors.ids)
        wanted_person = np.isin(self._whose, np.array(probe.people, np.int64))
        similarity = np.full(len(self._ids), -1.0, np.float32)
        by_person = wanted_person
        # Every probe is another chance for a stranger to match somebody here.
        strangers = int(np.count_nonzero(vectors.people < 0))
        comparisons = max(1, (len(self._people) + strangers) * max(1, len(probe.embeddings)))
        threshold = self._judge.threshold_among(comparisons)
        if len(probe.embeddings) and count:
            found = self._judge.similarities(probe.embeddings, vectors.embeddings, vectors.statistics).max(axis=0)
            similarity[:count] = found
            means = self._judge.similarities(probe.embeddings, self._means, self._statistics).max(axis=0)
            by_person = wanted_person | np.isin(self._whose, self._people[(means >= threshold) & (self._people >= 0)])
        if wanted_person.any():  # people given by id: their faces get their similarity to the person's mean
            own = np.zeros(len(similarity), np.float32)
            own[:count] = np.einsum("nd,nd->n", vectors.embeddings, self._means[self._person_of])
            similarity = np.where(wanted_person, np.maximum(similarity, own), similarity)
        by_face = (similarity >= threshold) & ~wanted_person
        nearest = float(similarity.max()) if len(similarity) else None
        return _Hits(similarity, by_face | by_person, by_face, nearest, threshold)

    def photos(self, hits: Sequence[_Hits], together: Together) -> list[Hit]:
        """Photos that show any, or all, of the wanted people; most similar first, ties by id."""
        rows: dict[int, list[list[int]]] = {}
        for place, hit in enumerate(hits):
            for row in np.flatnonzero(hit.matched).tolist():
                rows.setdefault(int(self._photos[row]), [[] for _ in hits])[place].append(row)
        found = []
        for photo, matched in rows.items():
            if together == "all" and not all(matched):
                continue
            best = [
                max(float(hit.similarity[row]) for row in some) for hit, some in zip(hits, matched, strict=True) if some
            ]
            similarity = min(best) if together == "all" else max(best)
            found.append(Hit(photo, similarity, self._faces_in[photo] == 1, tuple(map(tuple, matched))))
        return sorted(found, key=lambda hit: (-hit.similarity, hit.photo))

    def ranked(self, found: Sequence[Hit] | None, similarities: Mapping[int, float]) -> list[Hit]:
        """Those of `found` (None: of all photos) that have a similarity to a text, by it; ties by id."""
        if found is None:
            found = [Hit(photo, 0.0, self._faces_in.get(photo) == 1, ()) for photo in similarities]
        ranked = [replace(hit, similarity=similarities[hit.photo]) for hit in found if hit.photo in similarities]
        return sorted(ranked, key=lambda hit: (-hit.similarity, hit.photo))

    def found_photo(self, hit: Hit, hits: Sequence[_Hits]) -> AlbumFoundPhoto:
        """A hit in the form of the answer."""
        matches = [self._match(row, wanted, hits[wanted]) for wanted, rows in enumerate(hit.rows) for row in rows]
        entry = catalogue.photo_entry(catalogue.photo(self._db, self._album, hit.photo))
        return AlbumFoundPhoto(entry, hit.similarity, hit.solo, tuple(matches))

    def _match(self, row: int, wanted: int, hits: _Hits) -> AlbumMatch:
        entry = faces.face_entry(faces.face(self._db, self._album, int(self._ids[row])))
        by_face = bool(hits.by_face[row])
        similarity = float(hits.similarity[row])
        return AlbumMatch(entry.face, entry.box, wanted, similarity, entry.person, "face" if by_face else "person")
