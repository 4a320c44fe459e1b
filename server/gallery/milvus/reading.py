"""Looking people, templates and pictures up in Milvus."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from facewire.server.errors import UnknownPerson
from facewire.server.gallery.milvus.connection import Milvus
from facewire.server.gallery.milvus.tables import (
    CROPS,
    PEOPLE,
    PERSON,
    TEMPLATES,
    WHOLE,
    Stored,
    folded_hash,
    name_hash,
    person_of,
)
from facewire.server.gallery.records import Counts, Person, PersonRecord
from facewire.server.names import did_you_mean, folded, harmless, tidy

MOST_COMPARED = 50_000
"""People whose names are looked through for one that was meant: half a second."""


class Reading:
    """Lookups, for any number of threads."""

    def __init__(self, milvus: Milvus) -> None:
        self._milvus = milvus

    def person(self, name: str) -> Person | None:
        """The person with exactly that name."""
        found = [person for person in self._people(f"name == {name_hash(name)}") if person.name == name]
        return min(found, key=lambda person: person.id, default=None)

    def named(self, names: Iterable[str]) -> dict[str, Person]:
        """Those of these people who are there, by name."""
        wanted = {name_hash(name): name for name in names}
        found: dict[str, Person] = {}
        for person in map(person_of, self._milvus.those(PEOPLE, "name", wanted, PERSON)):
            if wanted.get(name_hash(person.name)) == person.name:
                found[person.name] = min(person, found.get(person.name, person), key=lambda one: one.id)
        return found

    def alike(self, name: str) -> list[Person]:
        """People whose names differ from this one at most in case and accents."""
        wanted = folded(name)
        return [person for person in self._people(f"folded == {folded_hash(name)}") if folded(person.name) == wanted]

    def require(self, name: str) -> Person:
        """The person with exactly that name, which may predate the rules for names. Raises UnknownPerson."""
        person = self.person(tidy(name)) or self.person(name)
        if person is None:
            raise UnknownPerson(f"nobody called {harmless(tidy(name))} is enrolled{self._meant(name)}")
        return person

    def meant(self, name: str) -> Person:
        """The person with that name or, failing that, the only one whose name differs in case and accents. Raises
        UnknownPerson."""
        person = self.person(tidy(name))
        alike = [] if person else self.alike(tidy(name))
        return person or (alike[0] if len(alike) == 1 else self.require(name))

    def everybody(self) -> Iterator[Person]:
        """All people, in no order."""
        return map(person_of, self._milvus.scan(PEOPLE, "", PERSON))

    def some(self, low: int, high: int) -> Iterator[Person]:
        """People with ids from `low` to `high`."""
        return map(person_of, self._milvus.scan(PEOPLE, "", PERSON, low=low, high=high))

    def crops(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Crops by their own ids (see `crop_id`)."""
        return {row["id"]: base64.b64decode(row["body"]) for row in self._milvus.those(CROPS, "id", ids, PERSON)}

    def by_id(self, ids: Iterable[int]) -> dict[int, Person]:
        """Those of these people who are there."""
        return {row["id"]: person_of(row) for row in self._milvus.those(PEOPLE, "id", ids, PERSON)}

    def records(self, people: Sequence[Person]) -> tuple[PersonRecord, ...]:
        """People with their counts."""
        templates, images, first = Counter[int](), Counter[int](), dict[int, tuple[int, int]]()
        fields = ("id", "person", "leads", "added")
        for row in self._milvus.those(TEMPLATES, "person", [one.id for one in people], fields):
            person, age = row["person"], (row["added"], row["id"])
            templates[person] += 1
            images[person] += row["leads"]
            first[person] = min(first.get(person, age), age)
        return tuple(
            PersonRecord(
                *(one.id, one.name, one.created),
                *(images[one.id], templates[one.id], first[one.id][1] if one.id in first else 0),
            )
            for one in people
        )

    def templates_of(self, people: Iterable[int]) -> list[Stored]:
        """Everything of these people, oldest first."""
        found = map(Stored.of, self._milvus.those(TEMPLATES, "person", people, WHOLE))
        return sorted(found, key=lambda one: (one.added, one.id))

    def template(self, template_id: int) -> Stored | None:
        """The template with that number, if it is there."""
        rows = self._milvus.those(TEMPLATES, "id", [template_id], WHOLE)
        return next(map(Stored.of, rows), None)

    def counts(self) -> Counts:
        """Numbers of people, pictures and templates."""
        return Counts(
            self._milvus.count(PEOPLE), self._milvus.count(TEMPLATES, "leads == true"), self._milvus.count(TEMPLATES)
        )

    def _people(self, filter: str) -> list[Person]:
        return [person_of(row) for row in self._milvus.query(PEOPLE, filter, PERSON)]

    def _meant(self, name: str) -> str:
        if self._milvus.count(PEOPLE) > MOST_COMPARED:
            return did_you_mean(name, [person.name for person in self.alike(tidy(name))])
        return did_you_mean(name, sorted(person.name for person in self.everybody()))
