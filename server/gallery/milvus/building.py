"""A gallery in Milvus, for commands that fill or read all of it: what servers never do at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facewire.server.errors import RequestError, StartError
from facewire.server.gallery.address import MilvusAddress
from facewire.server.gallery.milvus.contract import contract, create, drop
from facewire.server.gallery.milvus.edits import Added
from facewire.server.gallery.milvus.gallery import MilvusGallery, connected
from facewire.server.gallery.milvus.journal import Draft
from facewire.server.gallery.milvus.tables import Stored
from facewire.server.gallery.records import Copy, Counts, NewPicture, Person
from facewire.server.gallery.search.cohort import DEFAULT_PATH as COHORT
from facewire.server.gallery.search.cohort import Cohort
from facewire.server.spec import EmbeddingSpec

STEP = 1000
"""Pictures in one event: half a second of work, which is what a cut costs."""

NAMED_STEP = 64
"""Pictures in one event that names their people, whose names must fit a row."""


class NewFace(NamedTuple):
    """A picture and whom it shows."""

    person: str
    picture: NewPicture


class StoredPicture(NamedTuple):
    """A person's picture. `templates`: their ids."""

    person: str
    source: str | None
    path: str
    size_bytes: int
    mtime_ns: int | None
    sha256: str
    fingerprint: bytes | None
    templates: tuple[int, ...]


class Building:
    """For one thread. Raises StartError where Milvus can't be reached."""

    def __init__(self, address: MilvusAddress) -> None:
        self._address = address
        self._gallery: MilvusGallery | None = None
        milvus = connected(address)
        try:
            with self._starting():
                there = contract(milvus) is not None
        finally:
            milvus.close()
        if there:
            self._gallery = MilvusGallery.open(address)

    @property
    def spec(self) -> EmbeddingSpec | None:
        """The gallery's; None if there is none."""
        return None if self._gallery is None else self._gallery.spec

    @property
    def gallery(self) -> MilvusGallery:
        """The gallery, which exists."""
        assert self._gallery is not None, "there is a gallery"
        return self._gallery

    def create(self, spec: EmbeddingSpec) -> None:
        """Make an empty gallery in place of any that is there."""
        self.close()
        milvus = connected(self._address)
        try:
            with self._starting():
                drop(milvus)
                create(milvus, spec, Cohort.load(COHORT, spec))
        finally:
            milvus.close()
        self._gallery = MilvusGallery.open(self._address)

    def pictures(self) -> Iterator[StoredPicture]:
        """Every picture, in no order; all names and templates' rows pass through memory."""
        names = {person.id: person.name for person in self.gallery.reading.everybody()}
        seen: dict[tuple[int, str], tuple[Stored, list[int]]] = {}
        for one in self._stored():
            seen.setdefault((one.person, one.sha256), (replace(one, vector=_NOTHING), []))[1].append(one.id)
        for (person, _), (one, ids) in seen.items():
            body = one.body
            if person in names:
                yield StoredPicture(
                    names[person], body["source"], one.path, body["size"], body["mtime"], one.sha256, one.fingerprint,
                    tuple(ids),
                )  # fmt: skip

    def held(self) -> tuple[NDArray[np.float32], tuple[str, ...]]:
        """All embeddings (n, d), and the name of each one's person."""
        names = {person.id: person.name for person in self.gallery.reading.everybody()}
        stored = [one for one in self._stored() if one.person in names]
        vectors = np.array([one.vector for one in stored], np.float32).reshape(len(stored), -1)
        embeddings = self.gallery.embeddings(vectors) if stored else np.zeros((0, self.gallery.spec.dimension))
        return np.asarray(embeddings, np.float32), tuple(names[one.person] for one in stored)

    def names(self) -> Iterator[str]:
        """Everybody's."""
        return (person.name for person in self.gallery.reading.everybody())

    def counts(self) -> Counts:
        """Numbers of people, pictures and templates."""
        return self.gallery.reading.counts()

    def relink(self, moved: Sequence[tuple[StoredPicture, str, str, int]]) -> None:
        """Give pictures another source, path and time."""
        draft = Draft("build")
        for picture, source, path, mtime_ns in moved:
            for one in self._of(picture):
                draft.put_template(one, replace(one, path=path, body={**one.body, "source": source, "mtime": mtime_ns}))
        self._commit(draft)

    def remove(self, pictures: Sequence[StoredPicture]) -> None:
        """Remove pictures, and people who have no others."""
        draft = Draft("build")
        going = {number for picture in pictures for number in picture.templates}
        for name in dict.fromkeys(picture.person for picture in pictures):
            person = self.gallery.reading.person(name)
            theirs = self.gallery.reading.templates_of([person.id]) if person else []
            for one in theirs:
                if one.id in going:
                    draft.put_template(one, None)
            if person and all(one.id in going for one in theirs):
                draft.put_person(person, None)
        self._commit(draft)

    def add(self, faces: Iterable[NewFace]) -> None:
        """Add pictures, and replace those of the same source and path."""
        rest = iter(faces)
        while some := list(islice(rest, STEP)):
            self._add(some)

    def _add(self, faces: Sequence[NewFace]) -> None:
        edits, draft = self.gallery.edits, Draft("build", detail={"images": 0, "templates": 0})
        people = edits.ensure_all(draft, dict.fromkeys(face.person for face in faces))
        theirs = edits.theirs(people.values())
        edits.foresee((people[face.person], face.picture) for face in faces)
        for name, picture in faces:
            person = people[name]
            for one in theirs[person.id].all:
                if (one.body["source"], one.path) == (picture.source, picture.path) and one.sha256 != picture.sha256:
                    draft.put_template(one, None)
            _count(draft, edits.add(draft, person, theirs[person.id], picture, copies=True))
        for one_of_them in theirs.values():
            edits.number(draft, one_of_them)
        self._commit(draft)

    def take_in(self, people: Iterable[tuple[str, Sequence[NewPicture]]]) -> tuple[int, int]:
        """Enrol the pictures that these people don't have; returns the numbers of new pictures and templates."""
        images = templates = 0
        rest = ((name, picture) for name, pictures in people for picture in (pictures or (None,)))
        while some := list(islice(rest, NAMED_STEP)):
            edits, draft = self.gallery.edits, Draft("import", detail={"images": 0, "templates": 0})
            enrolled = edits.ensure_all(draft, dict.fromkeys(name for name, _ in some))
            theirs = edits.theirs(enrolled.values())
            there = [(enrolled[name], picture) for name, picture in some if picture is not None]
            edits.foresee(there)
            for person, picture in there:
                _count(draft, edits.add(draft, person, theirs[person.id], picture, copies=True))
            for one_of_them in theirs.values():
                edits.number(draft, one_of_them)
            draft.subjects += enrolled.values()
            self._commit(draft)
            images, templates = images + draft.detail["images"], templates + draft.detail["templates"]
        return images, templates

    def close(self) -> None:
        """Close the connection."""
        if self._gallery is not None:
            self._gallery.close()
            self._gallery = None

    def _of(self, picture: StoredPicture) -> list[Stored]:
        person: Person | None = self.gallery.reading.person(picture.person)
        theirs = self.gallery.reading.templates_of([person.id]) if person else []
        return [one for one in theirs if one.id in picture.templates]

    def _stored(self) -> Iterator[Stored]:
        return map(Stored.of, self.gallery.scan_templates())

    def _commit(self, draft: Draft) -> None:
        if draft.people or draft.templates:
            self.gallery.commit(draft)

    @contextmanager
    def _starting(self) -> Iterator[None]:
        try:
            yield
        except RequestError as error:
            raise StartError(f"{self._address} can't be used: {error}") from error


def _count(draft: Draft, added: Added | Copy) -> None:
    if isinstance(added, Added):
        draft.detail["images"] += 1
        draft.detail["templates"] += len(added.template_ids)


_NOTHING = np.zeros(0, np.float32)
