"""Search in Milvus: it finds the nearest templates, and what ranks their people is computed here from its vectors.

So similarities, ties and means are those of a gallery in memory, whatever rounding Milvus' own distances have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.server.comparison import distance, nearness
from facewire.server.gallery.milvus.connection import MOST_ROWS, Milvus, Row
from facewire.server.gallery.milvus.reading import Reading
from facewire.server.gallery.milvus.tables import SEARCHED, TEMPLATES
from facewire.server.gallery.milvus.vectors import Vectors, parts
from facewire.server.gallery.records import Match
from facewire.server.gallery.search.index import Hit
from facewire.server.gallery.search.means import SPARE_PEOPLE, with_means

LEAST = 64
"""Templates asked for: people have several, and Milvus can't say the best of each."""

EACH = 8
"""As many for every person wanted."""

TOGETHER = 64
"""Probes in one request."""


@dataclass(frozen=True, slots=True, eq=False)
class _Near:
    """The people nearest to a probe, each with their best template's row."""

    hits: tuple[Hit, ...]
    rows: Sequence[Row]


class Searching:
    """For any number of threads."""

    def __init__(self, milvus: Milvus, reading: Reading, vectors: Vectors) -> None:
        self._milvus = milvus
        self._reading = reading
        self._vectors = vectors

    def search(
        self, coordinates: NDArray[np.float32], scales: NDArray[np.float32], k: int, *, means: bool
    ) -> tuple[tuple[Match, ...], ...]:
        """For each of (m, r) probes with these scales, (m,): the k people nearest to it, ties by name."""
        found: list[tuple[Match, ...]] = []
        for at in range(0, len(coordinates), TOGETHER):
            some = coordinates[at : at + TOGETHER]
            found += self._together(some, scales[at : at + TOGETHER].tolist(), k, means=means)
        return tuple(found)

    def _together(
        self, coordinates: NDArray[np.float32], scales: Sequence[float], k: int, *, means: bool
    ) -> list[tuple[Match, ...]]:
        wanted = k + (SPARE_PEOPLE if means else 0)
        near = self._nearest(coordinates, wanted)
        people = {hit.person_id for one in near for hit in one.hits}
        if not people:
            return [()] * len(near)
        names = {number: person.name for number, person in self._reading.by_id(people).items()}
        hits_of = [one.hits for one in near]
        if means:
            hits_of = self._with_means(hits_of, coordinates, people)
        return [
            _matches(hits, one.rows, names, scale)[:k] for hits, one, scale in zip(hits_of, near, scales, strict=True)
        ]

    def _nearest(self, coordinates: NDArray[np.float32], people: int) -> list[_Near]:
        limit = max(LEAST, EACH * people)
        asked = self._vectors.asked(coordinates)
        answers = self._milvus.search(TEMPLATES, asked, limit, SEARCHED)
        found = [_ranked(rows, probe, people) for rows, probe in zip(answers, coordinates, strict=True)]
        while limit < MOST_ROWS:
            # One person may own all that came.
            short = [at for at, rows in enumerate(answers) if len(rows) == limit and len(found[at].hits) < people]
            if not short:
                break
            limit = min(4 * limit, MOST_ROWS)
            for at, rows in zip(short, self._milvus.search(TEMPLATES, asked[short], limit, SEARCHED), strict=True):
                answers[at], found[at] = rows, _ranked(rows, coordinates[at], people)
        return found

    def _with_means(
        self, hits_of: Sequence[tuple[Hit, ...]], coordinates: NDArray[np.float32], people: Iterable[int]
    ) -> list[tuple[Hit, ...]]:
        rows = list(self._milvus.those(TEMPLATES, "person", people, ("id", "person", "vector")))
        rows.sort(key=lambda row: int(row["id"]))
        theirs = np.array([row["person"] for row in rows])
        embeddings, scales = parts(np.array([row["vector"] for row in rows], np.float32))
        narrow, narrow_scales = embeddings.astype(np.float32), scales.astype(np.float32)
        return [
            with_means(narrow, narrow_scales, hits, [np.flatnonzero(theirs == hit.person_id) for hit in hits], probe)
            for hits, probe in zip(hits_of, coordinates, strict=True)
        ]


def _ranked(rows: Sequence[Row], probe: NDArray[np.float32], people: int) -> _Near:
    """The best row of each of the nearest people, and of those who tie with the last."""
    if not rows:
        return _Near((), ())
    coordinates, scales = parts(np.array([row["vector"] for row in rows], np.float32))
    similarities = (coordinates @ probe.astype(np.float64)).astype(np.float32).astype(np.float64)
    near = nearness(similarities, scales)
    best: dict[int, Hit] = {}
    for at in np.lexsort(([row["id"] for row in rows], [row["added"] for row in rows], -near)).tolist():
        person = int(rows[at]["person"])
        if person in best:
            continue
        if len(best) >= people and near[at] < min(hit.nearness for hit in best.values()):
            break
        best[person] = Hit(at, person, float(similarities[at]), float(scales[at]), float(near[at]))
    return _Near(tuple(best.values()), rows)


def _matches(hits: Sequence[Hit], rows: Sequence[Row], names: Mapping[int, str], scale: float) -> tuple[Match, ...]:
    """Nearest first, ties by name; without people who were removed meanwhile."""
    there = sorted(
        (hit for hit in hits if hit.person_id in names), key=lambda hit: (-hit.nearness, names[hit.person_id])
    )
    return tuple(
        Match(
            name=names[hit.person_id],
            similarity=hit.similarity,
            distance=distance(hit.similarity),
            image=rows[hit.row]["path"],
            template_id=rows[hit.row]["id"],
            person_id=hit.person_id,
            scale=scale * hit.scale,
        )
        for hit in there
    )
