"""The state that search reads: the gallery at one instant, in memory, immutable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from facewire.server.comparison import distance
from facewire.server.gallery.records import Counts, Match, Person, PersonRecord
from facewire.server.gallery.search.means import SPARE_PEOPLE, with_means
from facewire.server.gallery.search.rows import Rows
from facewire.server.names import folded, spellings


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

    def search(self, embedding: NDArray[np.float32], k: int, scale: float, *, means: bool) -> tuple[Match, ...]:
        """The k people nearest to a probe with this scale, by their templates or, with `means`, also by the mean of
        several; ties by name, so that an answer never depends on row order."""
        rows = self.rows
        hits = rows.index.search(embedding, k, SPARE_PEOPLE if means else 0)
        if means:
            hits = with_means(rows.embeddings, rows.person_ids, rows.scales, hits, embedding)
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
        return tuple(sorted(matches, key=lambda match: (-nearness[match.person_id], match.name))[:k])

    def record(self, person_id: int) -> PersonRecord:
        """A person with their counts."""
        person, mine = self.people[person_id], self.rows.person_ids == person_id
        images = len(np.unique(self.rows.image_ids[mine]))
        return PersonRecord(person.id, person.name, person.created, images, int(np.count_nonzero(mine)))

    @cached_property
    def listing(self) -> tuple[PersonRecord, ...]:
        """Everybody with their counts, sorted by name, ignoring case."""
        owners, images_of = self.rows.person_ids, self.rows.image_ids
        # A picture counts once per person; one sort brings its rows together.
        order = np.lexsort((images_of, owners))
        fresh = np.diff(images_of[order], prepend=-1) != 0
        fresh |= np.diff(owners[order], prepend=-1) != 0
        templates, images = _tally(owners), _tally(owners[order][fresh])
        return tuple(
            PersonRecord(person.id, person.name, person.created, images.get(person.id, 0), templates.get(person.id, 0))
            for person in sorted(self.people.values(), key=lambda person: (person.name.casefold(), person.name))
        )

    def containing(self, text: str) -> tuple[PersonRecord, ...]:
        """People whose name contains `text`, ignoring case and accents, in the listing's order."""
        wanted = folded(text)
        if not wanted:
            return self.listing
        return tuple(record for record in self.listing if any(wanted in each for each in spellings(record.name)))

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
