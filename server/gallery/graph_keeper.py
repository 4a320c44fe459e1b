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
        # Guards _rows, _afresh, _settled, _thread and the beginning of _closing; notified when they change.
        self._changed = threading.Condition()
        self._rows: Rows | None = None
        self._afresh = False
        self._settled = True
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        # Replaced as a whole, with the lock held; a reader takes the reference once.
        self._graph: Graph | None = None

    def index_over(self, rows: Rows) -> Index:
        """The fastest index over `rows` that is ready."""
        graph = self._graph
        if graph is None or rows.embeddings.nbytes <= self._exact_bytes:
            return ExactIndex(rows.embeddings, rows.person_ids)
        return GraphIndex(rows, graph)

    def follow(self, rows: Rows, *, afresh: bool = False) -> None:
        """Bring the graph up to `rows`, which are about to be published, in the background. Small galleries need none.

        `afresh`: some of them have ids that the graph may believe to have, or to know as others. It is built anew, and
        not asked from here on.
        """
        with self._changed:
            if self._closing.is_set() or rows is self._rows:
                return
            if afresh and self._thread is not None:
                self._graph, self._afresh = None, True
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
        rows, unfit = self._following(None)
        graph = self._file.read(rows)
        if graph is None:
            graph = Graph(self._dimension)
        saved = len(graph)
        while not self._closing.is_set():
            if unfit or _mostly_dead(graph, rows):
                graph, saved = Graph(self._dimension), 0
            if self._grow(graph, rows):
                if (len(graph) - saved) * SAVE_SHARE >= len(graph) > 0:
                    self._save(graph, rows)
                    saved = len(graph)
                self._show(graph)
            rows, unfit = self._following(rows)
        # What was built when closing came in between is worth keeping too, unless a whole graph is there.
        if not unfit:
            self._save(graph if self._graph is None else self._graph, rows)

    def _save(self, graph: Graph, rows: Rows) -> None:
        # A graph that is being written can't be searched; better the exact answer than a wait.
        self._show(None)
        self._file.write(graph, rows)
        self._show(graph)

    def _show(self, graph: Graph | None) -> None:
        """Let searches ask `graph`, unless it was called unfit meanwhile."""
        with self._changed:
            self._graph = None if self._afresh else graph

    def _grow(self, graph: Graph, rows: Rows) -> bool:
        """Add the rows that `graph` lacks. False where closing came in between."""
        fresh, began = not len(graph) and len(rows) > 0, time.monotonic()
        for start in range(_covered_rows(graph, rows), len(rows), CHUNK_ROWS):
            if self._closing.is_set():
                return False
            end = start + CHUNK_ROWS
            graph.add(rows.template_ids[start:end], rows.embeddings[start:end])
        if fresh:
            _log.info("built a search graph of %d templates in %.1f s", len(graph), time.monotonic() - began)
        return True

    def _following(self, rows: Rows | None) -> tuple[Rows, bool]:
        """Wait for rows newer than `rows`, or for closing; the newest rows there are, and whether the graph is unfit
        for them."""
        with self._changed:
            if self._rows is rows:
                self._settled = True
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._rows is not rows or self._closing.is_set())
            assert self._rows is not None, "the thread was started before it had rows"
            unfit, self._afresh = self._afresh, False
            return self._rows, unfit


def _covered_rows(graph: Graph, rows: Rows) -> int:
    """How many of the rows, from the first on, the graph has."""
    return int(np.searchsorted(rows.template_ids, graph.covered, side="right"))


def _mostly_dead(graph: Graph, rows: Rows) -> bool:
    return (len(graph) - _covered_rows(graph, rows)) * DEAD_SHARE > len(graph)
