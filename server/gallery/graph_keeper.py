"""Keeping a large gallery's graph up to date, on a thread of its own.

Enrolling and removing don't wait for the graph: they publish their rows, and the keeper follows. Everything that
changes the graph or its file happens on its thread; searches see the graph that it published last, or none.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import numpy as np

from server.gallery.graph import Graph, GraphIndex
from server.gallery.graph_file import GraphFile
from server.gallery.index import ExactIndex, Index
from server.gallery.rows import Rows
from server.spec import EmbeddingSpec

EXACT_BYTES = 51_200_000
"""The largest matrix that is searched exactly: 25,000 templates of 512 dimensions, which takes an AVX2 core 4 ms. At
40,000 exact search takes it 6 to 7 ms, the graph 2.5."""

CHUNK_ROWS = 4
"""Templates added at once. A search that arrives meanwhile waits for them: 1.6 ms each, measured on a busy machine."""

SAVE_SHARE = 4
"""A graph that grew by a quarter since it was saved is saved without waiting for the end. Not more often, because
usearch holds the GIL meanwhile: 0.12 s for 40,000 templates. After a crash the next start adds what is missing."""

DEAD_SHARE = 4
"""A graph of which more than a quarter was removed from the gallery is built anew: the dead take memory, and places
among the candidates."""

_log = logging.getLogger("facewire.gallery")


class GraphKeeper:
    """Follows one gallery's rows. `follow` by one thread at a time; everything else by any."""

    def __init__(self, db: Path, spec: EmbeddingSpec, exact_bytes: int = EXACT_BYTES) -> None:
        self._file = GraphFile(db, spec)
        self._dimension = spec.dimension
        self._exact_bytes = exact_bytes
        # Guards _rows, _settled, _purging, _thread and the beginning of _closing; notified when they change.
        self._changed = threading.Condition()
        self._rows: Rows | None = None
        self._settled = True
        self._purging = False
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        # The graph, and the lineage of the rows it has. Replaced as a whole by the keeper's thread; a reader takes the
        # reference once.
        self._graph: tuple[Graph, int] | None = None

    def index_over(self, rows: Rows) -> Index:
        """The fastest index over `rows` that is ready."""
        published = self._graph
        if published is None or rows.embeddings.nbytes <= self._exact_bytes:
            return ExactIndex(rows.embeddings, rows.person_ids)
        graph, lineage = published
        # Of another lineage: the graph may lack one that came back, and nobody would notice.
        return GraphIndex(rows, graph) if lineage == rows.lineage else ExactIndex(rows.embeddings, rows.person_ids)

    def follow(self, rows: Rows) -> None:
        """Bring the graph up to `rows`, which were just published, in the background. Small galleries need none."""
        with self._changed:
            if self._closing.is_set() or rows is self._rows:
                return
            if self._thread is None and rows.embeddings.nbytes <= self._exact_bytes:
                return
            self._rows = rows
            self._settled = False
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="graph", daemon=True)
                self._thread.start()

    def wait_until_settled(self, timeout_s: float | None = None) -> bool:
        """Wait until the graph has everything that was published before this call; for benchmarks and tests.

        False where that took longer than `timeout_s`.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._settled, timeout_s)

    def purge(self) -> None:
        """Forget the graph and its file; both are gone when this returns. A new one is built in the background.

        For what must not be kept, not even where no search finds it.
        """
        with self._changed:
            if self._thread is not None and not self._closing.is_set():
                self._purging = True
                self._settled = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._purging or self._closing.is_set())
                if not self._purging:
                    return
            self._graph = None
            self._file.remove()

    def close(self) -> None:
        """Save the graph, as far as it is built, and end the thread. The index goes on answering."""
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        try:
            self._keep()
        except (RuntimeError, ValueError, MemoryError):  # what usearch raises
            _log.exception("the search graph can't be kept: search stays exact, and slow")
            self._graph = None
        finally:
            with self._changed:
                self._closing.set()  # after a failure too: nobody follows any more
                self._settled = True
                self._changed.notify_all()

    def _keep(self) -> None:
        """Follow until closing."""
        rows = self._following(None)
        graph = self._file.read(rows) or Graph(self._dimension)
        saved, lineage = len(graph), rows.lineage
        while not self._closing.is_set():
            if self._purged() or _mostly_dead(graph, rows):
                graph, saved, lineage = Graph(self._dimension), 0, rows.lineage
            if lineage != rows.lineage:
                _take_back(graph, rows)
                lineage = rows.lineage
            if self._grow(graph, rows):
                if (len(graph) - saved) * SAVE_SHARE >= len(graph) > 0:
                    self._save(graph, rows)
                    saved = len(graph)
                self._graph = graph, lineage
            rows = self._following(rows)
        # What was built when closing came in between is worth keeping too, unless a whole graph is there.
        if self._graph is not None:
            graph, lineage = self._graph
        if lineage == rows.lineage:  # else rows came back that the graph may lack: no file is better than this one
            self._save(graph, rows)

    def _purged(self) -> bool:
        """Forget everything, where that was asked for."""
        with self._changed:
            if not self._purging:
                return False
            self._graph = None
            self._file.remove()
            self._purging = False
            self._changed.notify_all()
            return True

    def _save(self, graph: Graph, rows: Rows) -> None:
        # A graph that is being written can't be searched; better the exact answer than a wait.
        published, self._graph = self._graph, None
        self._file.write(graph, rows)
        self._graph = published

    def _grow(self, graph: Graph, rows: Rows) -> bool:
        """Add the rows that follow on what `graph` has. False where closing or a purge came in between."""
        fresh, began = not len(graph) and len(rows) > 0, time.monotonic()
        for start in range(_covered_rows(graph, rows), len(rows), CHUNK_ROWS):
            if self._closing.is_set() or self._purging:
                return False
            end = start + CHUNK_ROWS
            graph.add(rows.template_ids[start:end], rows.embeddings[start:end])
        if fresh:
            _log.info("built a search graph of %d templates in %.1f s", len(graph), time.monotonic() - began)
        return True

    def _following(self, rows: Rows | None) -> Rows:
        """Wait for rows newer than `rows`, or for closing; the newest rows there are."""
        with self._changed:
            if self._rows is rows and not self._purging:
                self._settled = True
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._rows is not rows or self._purging or self._closing.is_set())
            assert self._rows is not None, "the thread was started before it had rows"
            return self._rows


def _covered_rows(graph: Graph, rows: Rows) -> int:
    """How many of the rows, from the first on, the graph has."""
    return int(np.searchsorted(rows.template_ids, graph.covered, side="right"))


def _take_back(graph: Graph, rows: Rows) -> None:
    """Add the rows that came back after the graph was built without them."""
    covered = slice(0, _covered_rows(graph, rows))
    for row in np.flatnonzero(graph.lacks(rows.template_ids[covered])):
        graph.add(rows.template_ids[row : row + 1], rows.embeddings[row : row + 1])


def _mostly_dead(graph: Graph, rows: Rows) -> bool:
    return (len(graph) - _covered_rows(graph, rows)) * DEAD_SHARE > len(graph)
