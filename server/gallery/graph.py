"""Search in a large gallery: an HNSW graph proposes candidates, and the templates themselves decide.

The graph is approximate, late and forgetful, and none of it shows: what it proposes is compared exactly, what the
snapshot at hand doesn't have (removed, or newer) is dropped, and rows that the graph hasn't got yet are searched
exactly beside it. The only module that imports usearch.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from server.gallery.index import ExactIndex, Hit, check_query, nearest_people
from server.gallery.rows import Rows

SETTINGS: dict[str, str | int] = {"metric": "cos", "dtype": "i8", "connectivity": 32, "expansion_add": 128}
EXPANSION_SEARCH = 256
"""Measured on 40,000 templates like FaceNet's (docs/decisions/0007): the best template is among the candidates for
1.000 of enrolled people and 0.998 of strangers, in 2.5 ms on a busy AVX2 core; 788 bytes a template. With f16 vectors
and connectivity 16 it was 0.998 and 0.990 in 2.1 ms; 1,172 bytes. "cos": usearch doesn't scale the inner product of i8.
"""
EXPANSION_SEARCH_UP_TO, EXPANSION_SEARCH_GROWTH = 40_000, 0.86
"""Among more templates it looks at more of them, to this power of their number: among 100,000, 512 found 0.995 of the
best, among a million 2,863 0.978 to 0.988 and 4,096 0.985 to 0.995, which is this power (docs/decisions/0007)."""

FEWEST_CANDIDATES, MOST_CANDIDATES = 256, 4096
"""How many templates the graph is asked for, first and at most. The first is less than it looks at anyway and enough to
put right what i8 confuses; where the last doesn't show k people, k is so large or so much was removed just here that
the exact search answers."""

SPARE_PEOPLE = 8
"""So many people beyond those asked for have all of their templates compared, also those that the graph overlooked: it
may know the way to one template of a person and to their nearest none, the more so the more templates there are."""

GRAPH_ERROR = 0.025
"""How far a cosine of i8 vectors may be from the true one: the largest of 2,400 was 0.022 at 512 dimensions, their
deviation 0.005. Within it the graph can't tell whether somebody as near as the k-th is left out."""

IDENTITY = {**SETTINGS, "usearch": version("usearch")}
"""What a saved graph depends on besides its templates."""


class Candidates(Protocol):
    """What `GraphIndex` asks of a graph."""

    @property
    def covered(self) -> int:
        """Every template that is enrolled and whose id is at most this is in the graph. Never shrinks."""
        ...

    def nearest(self, embedding: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], float]:
        """At most `count` template ids, nearest first, and the cosine of the last (-inf where all were given)."""
        ...


class Graph:
    """A growing HNSW graph of templates by their ids. One thread adds to it, any number search it."""

    def __init__(self, dimension: int, expansion_search: int | None = None) -> None:
        """`expansion_search`: how many templates a search looks at; by default as many as their number asks for."""
        # Here, not above: it takes half a second, which a start with a small gallery need not wait for.
        from usearch.index import Index as Hnsw

        self._fixed = expansion_search
        self._hnsw = Hnsw(ndim=dimension, **SETTINGS, expansion_search=expansion_search or EXPANSION_SEARCH)
        # usearch's Python binding releases the GIL and gives every caller the same scratch memory, so only one may be
        # inside at a time. Who waits to be holds `_next`: else a thread that adds on and on would let no search in.
        self._inside = threading.Lock()
        self._next = threading.Lock()
        self._covered = 0

    def __len__(self) -> int:
        """The number of templates, those removed from the gallery since included."""
        return len(self._hnsw)

    @property
    def covered(self) -> int:
        """See `Candidates`."""
        return self._covered

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._next:
            self._inside.acquire()
        try:
            yield
        finally:
            self._inside.release()

    def add(self, template_ids: NDArray[np.int64], embeddings: NDArray[np.float32]) -> None:
        """Add rows that the graph lacks: (m,) ascending ids and their (m, d) embeddings.

        Raises RuntimeError, ValueError or MemoryError where usearch can't; the graph is no longer of use then.
        """
        with self._alone():
            # One thread of two cores: a graph under construction must not slow down recognition.
            self._hnsw.add(template_ids.astype(np.uint64), embeddings, threads=1)
            self._covered = max(self._covered, int(template_ids[-1]))
            self._widen()

    def lacks(self, template_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these the graph doesn't have."""
        with self._alone():
            return np.asarray(~self._hnsw.contains(template_ids.astype(np.uint64)), dtype=np.bool_)

    def nearest(self, embedding: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], float]:
        """See `Candidates`."""
        with self._alone():
            found = self._hnsw.search(embedding, count, threads=1)
        last = 1.0 - float(found.distances[-1]) if len(found.keys) == count else -np.inf
        return found.keys.astype(np.int64), last

    def nearest_of_each(self, embeddings: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        """(n, d) -> (n, count) template ids, nearest first, -1 where there are fewer.

        One call, during which nobody else is let in: for a thread that has the graph to itself.
        """
        with self._alone():
            found = self._hnsw.search(embeddings, count, threads=1)
        # usearch answers a single row in another shape than several.
        keys = found.keys.astype(np.int64).reshape(len(embeddings), -1)
        counts = np.array([len(found)]) if len(embeddings) == 1 else found.counts
        ids = np.full((len(embeddings), count), -1, np.int64)
        ids[:, : keys.shape[1]] = np.where(np.arange(keys.shape[1]) < counts[:, None], keys, -1)
        return ids

    def save(self, path: Path) -> None:
        """Write the graph; searches wait. Raises RuntimeError where the file can't be written."""
        with self._alone():
            self._hnsw.save(path)

    @classmethod
    def loaded(cls, content: memoryview, dimension: int, covered: int) -> Graph:
        """The graph that `save` wrote as `content`, by a usearch and settings of the same `IDENTITY`.

        Raises RuntimeError where it can't be read. Content that `save` didn't write is not safe to pass in.
        """
        graph = cls(dimension)
        graph._hnsw.load(content)
        graph._covered = covered
        graph._widen()
        return graph

    def _widen(self) -> None:
        if self._fixed is None:
            self._hnsw.expansion_search = expansion_for(len(self._hnsw))


def expansion_for(templates: int) -> int:
    """How many templates a search among so many looks at."""
    larger = max(1.0, templates / EXPANSION_SEARCH_UP_TO)
    return round(EXPANSION_SEARCH * math.pow(larger, EXPANSION_SEARCH_GROWTH))


class GraphIndex:
    """An `Index` over rows, most of which a graph knows."""

    def __init__(self, rows: Rows, graph: Candidates) -> None:
        self._rows = rows
        self._graph = graph

    def __len__(self) -> int:
        return len(self._rows)

    def search(self, embedding: NDArray[np.float32], k: int) -> tuple[Hit, ...]:
        """See `Index.search`: the same but for the few per thousand of nearest templates that the graph overlooks."""
        rows = self._rows
        check_query(embedding, rows.embeddings.shape[1], k)
        # Before the graph is asked: rows that it gets in between are then found twice, which harms nothing.
        newest = self._newest(int(np.searchsorted(rows.template_ids, self._graph.covered, side="right")), embedding, k)
        largest_scale = float(rows.scales.max(initial=0))
        take = max(FEWEST_CANDIDATES, 4 * k)
        while take <= min(MOST_CANDIDATES, len(rows)):
            template_ids, last = self._graph.nearest(embedding, take)
            candidates = np.concatenate([self._known(template_ids), newest])
            if len(candidates):
                near = nearest_people(
                    rows.embeddings, rows.person_ids, rows.scales, candidates, embedding, k + SPARE_PEOPLE
                )
                everything = self._templates_of([hit.person_id for hit in near])
                hits = nearest_people(rows.embeddings, rows.person_ids, rows.scales, everything, embedding, k)
                # What the graph leaves out is at most so near, however large its scale.
                if len(hits) >= k and hits[-1].nearness > (min(last + GRAPH_ERROR, 1) - 1) / largest_scale:
                    return hits
            take *= 4
        return ExactIndex(rows.embeddings, rows.person_ids, rows.scales).search(embedding, k)

    def _newest(self, start: int, embedding: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """From `start` on, where the graph ends: the rows of the k nearest people."""
        rows = self._rows
        index = ExactIndex(rows.embeddings[start:], rows.person_ids[start:], rows.scales[start:])
        return np.array([start + hit.row for hit in index.search(embedding, k)], dtype=np.int64)

    def _templates_of(self, people: list[int]) -> NDArray[np.int64]:
        """The rows of those people: a look at everybody's number, which takes a million rows 3 ms."""
        return np.flatnonzero(np.isin(self._rows.person_ids, people)).astype(np.int64, copy=False)

    def _known(self, template_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of those templates that these rows have; the ids of `Rows` ascend."""
        own = self._rows.template_ids
        rows = np.minimum(np.searchsorted(own, template_ids), len(own) - 1)
        known: NDArray[np.int64] = rows[own[rows] == template_ids]
        return known
