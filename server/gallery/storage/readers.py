"""Connections for reading, separate from the writer's: readers never wait for writers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facewire.server.gallery.storage.footing import Footing
from facewire.server.gallery.storage.store import Store

IDLE = 4
"""Idle connections kept open: half a millisecond to open and 100 KB each."""


class Readers:
    """Stores of one database, each used by one thread at a time. Thread-safe."""

    def __init__(self, path: Path, footing: Footing) -> None:
        self._path = path
        self._footing = footing
        self._lock = threading.Lock()  # guards the two below
        self._idle: list[Store] = []
        self._closed = False

    @contextmanager
    def reading(self) -> Iterator[Store]:
        """A store whose reads all see the same instant. Raises StartError and StorageFailed if the database is gone."""
        self._footing.check()  # otherwise the next connection would open another database
        store = self._take()
        try:
            with store.reading():
                yield store
        finally:
            self._give_back(store)

    def close(self) -> None:
        """Close the idle connections now, and the others when they are returned."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for store in idle:
            store.close()

    def _take(self) -> Store:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return Store.open(self._path, another=True)

    def _give_back(self, store: Store) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < IDLE:
                self._idle.append(store)
                return
        store.close()
