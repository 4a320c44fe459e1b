"""Users' changes to a gallery in Milvus, as drafts: what they read is read, nothing is written yet.

A template carries its picture, so moving it moves both; where the new person has that face of the same picture already,
it is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count
from typing import NamedTuple

import numpy as np

from facewire.server.errors import AlreadyExists, InvalidName, UnknownTemplate
from facewire.server.gallery.milvus.connection import Milvus, Table
from facewire.server.gallery.milvus.journal import Draft, Journal
from facewire.server.gallery.milvus.reading import Reading
from facewire.server.gallery.milvus.tables import (
    CROPS,
    PEOPLE,
    TEMPLATES,
    Stored,
    crop_id,
    crop_row,
    hashed,
    template_body,
)
from facewire.server.gallery.milvus.vectors import Vectors
from facewire.server.gallery.records import Copy, NewPicture, Person
from facewire.server.gallery.search.index import check_unit
from facewire.server.gallery.search.lookalikes import Lookalikes
from facewire.server.gallery.storage.connection import now
from facewire.server.names import person_name


class Added(NamedTuple):
    """The ids of a new picture's templates."""

    template_ids: tuple[int, ...]


class Edits:
    """Prepares changes. One thread at a time."""

    def __init__(self, milvus: Milvus, reading: Reading, journal: Journal, vectors: Vectors) -> None:
        self._milvus = milvus
        self._reading = reading
        self._journal = journal
        self._vectors = vectors
        self._free: set[int] = set()  # ids that `foresee` found not to be taken

    def enrol(
        self, name: str, pictures: Sequence[NewPicture], *, copies: bool
    ) -> tuple[Draft, Person, list[Added | Copy]]:
        """Add pictures to a person, who is created if unknown. Raises ValueError and ModelMismatch."""
        draft = Draft("enrol")
        person = self.ensure(draft, person_name(name))
        theirs = self.theirs([person])[person.id]
        self.foresee((person, picture) for picture in pictures)
        added = [self.add(draft, person, theirs, picture, copies=copies) for picture in pictures]
        self.number(draft, theirs)
        new = [one for one in added if isinstance(one, Added)]
        draft.subjects.append(person)
        draft.detail |= {"images": len(new), "templates": sum(len(one.template_ids) for one in new)}
        return draft, person, added

    def rename(self, name: str, to: str) -> Draft:
        """Rename a person. Raises UnknownPerson and AlreadyExists."""
        draft = Draft("rename")
        person, new = self._reading.require(name), person_name(to)
        if person.name == new:
            raise AlreadyExists(f"{new} already has that name")
        if self._reading.person(new) is not None:
            raise AlreadyExists(f"there is already a {new}: if they are the same person, merge the two")
        draft.subjects.append(person)
        draft.target = Person(person.id, new, person.created)
        draft.put_person(person, draft.target)
        return draft

    def merge(self, names: Sequence[str], into: str) -> Draft:
        """Move all templates of `names` to `into`. Raises UnknownPerson, and InvalidName if `into` is among them."""
        draft = Draft("merge")
        target = self._reading.require(into)
        sources = {person.id: person for person in (self._reading.require(name) for name in names)}
        if target.id in sources:
            raise InvalidName(f"{target.name} can't be merged with themselves")
        there = self._reading.templates_of([target.id, *sources])
        moving = [one for one in there if one.person in sources]
        draft.detail["templates"] = len(moving)
        _move(draft, there, moving, target)
        for person in sources.values():
            draft.put_person(person, None)
        draft.subjects += sources.values()
        draft.target = target
        return draft

    def split(self, name: str, template_ids: Sequence[int], to: str) -> Draft:
        """Move templates from `name` to `to`, who is created if unknown. Raises UnknownPerson, UnknownTemplate, and
        InvalidName if the two are the same person."""
        draft = Draft("split")
        person = self._reading.require(name)
        there = self._reading.templates_of([person.id])
        moving = _chosen(person, there, template_ids)
        target = self.ensure(draft, person_name(to))
        if target.id == person.id:
            raise InvalidName(f"these templates already belong to {person.name}")
        _move(draft, [*there, *self._reading.templates_of([target.id])], moving, target)
        draft.subjects.append(person)
        draft.target = target
        draft.detail["templates"] = len(set(template_ids))
        return draft

    def remove(self, name: str, template_ids: Sequence[int]) -> Draft:
        """Remove templates, or the whole person if no ids are given. Raises UnknownPerson and UnknownTemplate."""
        draft = Draft("remove")
        person = self._reading.require(name)
        there = self._reading.templates_of([person.id])
        draft.subjects.append(person)
        if template_ids:
            going = _chosen(person, there, template_ids)
            draft.detail["templates"] = len(going)
        else:
            going = there
            draft.detail |= {"people": 1, "templates": len(going)}
            draft.put_person(person, None)
        for one in going:
            draft.put_template(one, None)
        _lead(draft, there)
        return draft

    # ------------------------------------------------------------------------------------------ helpers

    def ensure(self, draft: Draft, name: str) -> Person:
        """The person with that name, in the draft if unknown. Two servers that create them at once create one."""
        return self.ensure_all(draft, [name])[name]

    def ensure_all(self, draft: Draft, names: Iterable[str]) -> dict[str, Person]:
        """The same for several names."""
        wanted = list(names)
        found = self._reading.named(wanted)
        new = [name for name in wanted if name not in found]
        taken = self._taken(PEOPLE, (hashed("person", name, 0) for name in new))
        for name in new:
            numbers = (hashed("person", name, salt) for salt in count())
            number = next(number for number in numbers if number not in taken)
            if number != hashed("person", name, 0):  # somebody of that name was renamed since
                number = next(one for one in numbers if not self._taken(PEOPLE, [one]))
            found[name] = Person(number, name, now())
            draft.put_person(None, found[name])
        return found

    def theirs(self, people: Iterable[Person]) -> dict[int, Theirs]:
        """What these people have, by their ids."""
        found = {person.id: Theirs() for person in people}
        for one in self._reading.templates_of(found):
            found[one.person].add(one)
        return found

    def foresee(self, pictures: Iterable[tuple[Person, NewPicture]]) -> None:
        """Before `add`: find out at once which ids of their templates are taken. An id stays taken while a crop or
        the journal may bring its template back."""
        wanted = {
            hashed("template", person.id, picture.sha256, at)
            for person, picture in pictures
            for at in range(len(picture.templates))
        }
        taken = self._taken(TEMPLATES, wanted)
        crops = {crop_id(number): number for number in wanted}
        self._free = wanted - taken - {crops[number] for number in self._taken(CROPS, crops)}

    def add(self, draft: Draft, person: Person, theirs: Theirs, picture: NewPicture, *, copies: bool) -> Added | Copy:
        """Add a picture to a person with these templates, unless they have it. Call `number` afterwards."""
        if not picture.templates:
            raise ValueError(f"{picture.path} brings no template")
        known = theirs.copy_of(picture, copies=copies)
        if known is not None:
            return known
        embeddings = np.stack([template.embedding for template in picture.templates])
        check_unit(embeddings, len(self._vectors.axes))
        added, created = [], now()
        for at, (template, vector) in enumerate(zip(picture.templates, self._vectors.stored(embeddings), strict=True)):
            number = hashed("template", person.id, picture.sha256, at)
            salt = 0
            while number in draft.templates or not self._is_free(number):
                salt += 1
                number = hashed("template", person.id, picture.sha256, at, salt)
            body = template_body(picture, created, template)
            stored = Stored(number, person.id, at == 0, self._journal.time(), picture.path, body, vector)
            draft.put_template(None, stored)
            theirs.add(stored)
            crop = None if template.crop is None else crop_row(number, template.crop)
            draft.crops += [] if crop is None else [crop]
            added.append(number)
        return Added(tuple(added))

    def number(self, draft: Draft, theirs: Theirs) -> None:
        """Say which templates are the first of their pictures."""
        _lead(draft, theirs.all)

    def _is_free(self, number: int) -> bool:
        if number in self._free:
            return True
        return not self._taken(TEMPLATES, [number]) and not self._taken(CROPS, [crop_id(number)])

    def _taken(self, table: Table, ids: Iterable[int]) -> set[int]:
        return {row["id"] for row in self._milvus.those(table, "id", ids, ("id",))}


class Theirs:
    """A person's templates, to find copies among. Add them oldest first."""

    def __init__(self) -> None:
        self.all: list[Stored] = []
        self._paths: dict[str, str] = {}
        self._prints, self._printed = Lookalikes(), list[str]()

    def add(self, template: Stored) -> None:
        self.all.append(template)
        if template.sha256 in self._paths:
            return
        self._paths[template.sha256] = template.path
        if template.fingerprint is not None:
            self._prints.add(template.fingerprint)
            self._printed.append(template.path)

    def copy_of(self, picture: NewPicture, *, copies: bool) -> Copy | None:
        """The picture that this one is a copy of; with `copies` only one of the same bytes."""
        if not copies and picture.fingerprint is not None:
            found = self._prints.nearest(picture.fingerprint)
            if found is not None:
                return Copy(self._printed[found[0]], found[1])
        path = self._paths.get(picture.sha256)
        return None if path is None else Copy(path, 0.0)


def _chosen(person: Person, there: Sequence[Stored], template_ids: Iterable[int]) -> list[Stored]:
    """The person's templates with these ids. Raises UnknownTemplate."""
    by_id = {one.id: one for one in there}
    for number in template_ids:
        if number not in by_id:
            raise UnknownTemplate(f"{person.name} has no template {number}")
    return [by_id[number] for number in dict.fromkeys(template_ids)]


def _move(draft: Draft, there: Sequence[Stored], moving: Sequence[Stored], target: Person) -> None:
    """Move templates to another person; `there`: all templates of everybody involved."""
    has = {(one.sha256, one.box) for one in there if one.person == target.id}
    for one in moving:
        face = (one.sha256, one.box)
        draft.put_template(one, None if face in has else replace(one, person=target.id))
        has.add(face)
    _lead(draft, there)


def _lead(draft: Draft, there: Iterable[Stored]) -> None:
    """After all else of a draft: exactly the first template of each person's picture leads. `there`: the templates of
    everybody involved, as they were."""
    led = set[tuple[int, str]]()
    for one in sorted(there, key=lambda one: (one.added, one.id)):
        old, new = draft.templates.get(one.id, (one, one))
        if new is None:
            continue
        leads = (new.person, new.sha256) not in led
        led.add((new.person, new.sha256))
        if leads != new.leads:
            draft.put_template(old, replace(new, leads=leads))
