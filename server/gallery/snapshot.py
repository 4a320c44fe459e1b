"""The state that search reads: the gallery at one instant, in memory, immutable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from facewire.server.comparison import distance
from facewire.server.gallery.records import Counts, Match, Person, PersonRecord
from facewire.server.gallery.search.index import Hit
from facewire.server.gallery.search.means import SPARE_PEOPLE, with_means
from facewire.server.gallery.search.rows import Rows
from facewire.server.names import contains, folded


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Rows with the names and paths their ids refer to. `version` increases with each snapshot; `event`: id of the
    newest journal event included; ids keep their meaning while `epoch` (see `Store.epoch`) is unchanged.
    """

    version: int
    event: int
    epoch: str
    rows: Rows
    people: Mapping[int, Person]
    paths: Mapping[int, str]

    def search(
        self, embeddings: NDArray[np.float32], k: int, scales: NDArray[np.float32], *, means: bool
    ) -> tuple[tuple[Match, ...], ...]:
        """For each of (m, d) probes with these scales, (m,): the k people nearest to it, by their templates or, with
        `means`, also by the mean of several; ties by name, so that an answer never depends on row order."""
        of_each = self.rows.index.search_all(embeddings, k, SPARE_PEOPLE if means else 0)
        if means:
            of_each = tuple(
                self._with_means(hits, embedding) for hits, embedding in zip(of_each, embeddings, strict=True)
            )
        return tuple(self._matches(hits, scale)[:k] for hits, scale in zip(of_each, scales.tolist(), strict=True))

    def _with_means(self, hits: tuple[Hit, ...], embedding: NDArray[np.float32]) -> tuple[Hit, ...]:
        rows = self.rows
        theirs = rows.of_people([hit.person_id for hit in hits])
        return with_means(rows.embeddings, rows.scales, hits, theirs, embedding)

    def _matches(self, hits: tuple[Hit, ...], scale: float) -> tuple[Match, ...]:
        """Nearest first, ties by name."""
        rows = self.rows
        matches = [
            Match(
                name=self.people[hit.person_id].name,
                similarity=hit.similarity,
                distance=distance(hit.similarity),
                image=self.paths[int(rows.image_ids[hit.row])],
                template_id=int(rows.template_ids[hit.row]),
                person_id=hit.person_id,
                scale=scale * hit.scale,
            )
            for hit in hits
        ]
        nearness = {hit.person_id: hit.nearness for hit in hits}
        return tuple(sorted(matches, key=lambda match: (-nearness[match.person_id], match.name)))

    def record(self, person_id: int) -> PersonRecord:
        """A person with their counts."""
        person, mine = self.people[person_id], np.flatnonzero(self.rows.person_ids == person_id)
        images = len(np.unique(self.rows.image_ids[mine]))
        first = int(self.rows.template_ids[mine[0]]) if len(mine) else 0
        return PersonRecord(person.id, person.name, person.created, images, len(mine), first)

    @cached_property
    def listing(self) -> tuple[PersonRecord, ...]:
        """Everybody with their counts, sorted by name, ignoring case."""
        owners, images_of = self.rows.person_ids, self.rows.image_ids
        # A picture counts once per person; one sort brings its rows together.
        order = np.lexsort((images_of, owners))
        fresh = np.diff(images_of[order], prepend=-1) != 0
        fresh |= np.diff(owners[order], prepend=-1) != 0
        templates, images = _tally(owners), _tally(owners[order][fresh])
        having, at = np.unique(owners, return_index=True)  # rows are sorted by template
        first = dict(zip(having.tolist(), self.rows.template_ids[at].tolist(), strict=True))

        def record(person: Person) -> PersonRecord:
            one = person.id
            counts = images.get(one, 0), templates.get(one, 0), first.get(one, 0)
            return PersonRecord(one, person.name, person.created, *counts)

        return tuple(
            record(person)
            for person in sorted(self.people.values(), key=lambda person: (person.name.casefold(), person.name))
        )

    def containing(self, text: str) -> tuple[PersonRecord, ...]:
        """People whose name contains `text`, ignoring case and accents, in the listing's order."""
        wanted = folded(text)
        if not wanted:
            return self.listing
        return tuple(record for record in self.listing if contains(record.name, wanted))

    def alike(self, name: str) -> tuple[str, ...]:
        """Other people's names that differ from this one only in case and accents, sorted."""
        wanted = folded(name)
        others = (person.name for person in self.people.values() if folded(person.name) == wanted)
        return tuple(sorted(other for other in others if other != name))

    def named(self, names: Iterable[str]) -> tuple[PersonRecord, ...]:
        """The people with these names and their counts, in that order; unknown names are skipped."""
        by_name = self._ids_by_name
        return tuple(self.record(by_name[name]) for name in names if name in by_name)

    @cached_property
    def _ids_by_name(self) -> Mapping[str, int]:
        return {person.name: person.id for person in self.people.values()}

    @cached_property
    def counts(self) -> Counts:
        """Numbers of people, pictures and templates."""
        return Counts(people=len(self.people), images=len(self.paths), templates=len(self.rows))


def _tally(ids: NDArray[np.int64]) -> dict[int, int]:
    values, counts = np.unique(ids, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))
