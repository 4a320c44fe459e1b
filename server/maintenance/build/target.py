"""What a build's pictures move into at the end: a database file, or a gallery in Milvus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import Protocol

import numpy as np

from facewire.server.gallery.address import Database
from facewire.server.gallery.opening import require_client
from facewire.server.gallery.records import Counts
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.build.plan import (
    Before,
    Held,
    Relink,
    held,
    look_into,
    names_alike,
    shared_pictures,
)
from facewire.server.maintenance.build.staging import Staging
from facewire.server.spec import EmbeddingSpec


class Target(Protocol):
    """A gallery, which need not exist yet. For one thread; the caller closes it."""

    def before(self) -> Before:
        """What it holds. Raises StartError if it is anything but a gallery, which is never overwritten."""
        ...

    def held(self, spec: EmbeddingSpec, most: int) -> Held | None:
        """Its templates, of `spec`; None if there are more than `most`."""
        ...

    def take(self, staging: Staging, relinks: Sequence[Relink], removed: Sequence[int], *, rebuild: bool) -> None:
        """Move everything from `staging` here, as `Staging.move` says, and create the gallery if there is none."""
        ...

    def create(self, spec: EmbeddingSpec) -> None:
        """Make an empty gallery, where there is none. Raises StartError."""
        ...

    def counts(self) -> Counts | None:
        """Numbers of people, pictures and templates; None if there is still no gallery."""
        ...

    def shared(self, source: str) -> Iterable[tuple[str, str]]:
        """(path, other person's name) for every picture of `source` whose bytes are also enrolled for another
        person."""
        ...

    def alike(self, names: Set[str]) -> list[tuple[str, ...]]:
        """Groups of people whose names differ only in case and accents, with at least one in `names`; sorted."""
        ...

    def close(self) -> None:
        """Close the gallery."""
        ...


def target_at(db: Database) -> Target:
    """The gallery at this place. Raises StartError where Milvus is not there, or its client."""
    if isinstance(db, Path):
        return SqliteTarget(db)
    require_client()
    from facewire.server.maintenance.build.milvus_target import MilvusTarget  # takes half a second

    return MilvusTarget(db)


def nothing_held(spec: EmbeddingSpec) -> Held:
    """Of an empty gallery."""
    return Held(np.zeros((0, spec.dimension), np.float32), np.zeros(0, np.int64), ())


class SqliteTarget:
    """A database file. Opened when it is first needed: reading pictures may take hours, in which it may be deleted or
    replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._store: Store | None = None

    def before(self) -> Before:
        return look_into(self._path)

    def held(self, spec: EmbeddingSpec, most: int) -> Held | None:
        store = self._opened()
        if store is None:
            return nothing_held(spec)
        return None if store.template_count() > most else held(store)

    def take(self, staging: Staging, relinks: Sequence[Relink], removed: Sequence[int], *, rebuild: bool) -> None:
        staging.move(self._opened(), relinks, removed, rebuild=rebuild)

    def create(self, spec: EmbeddingSpec) -> None:
        self._store = Store.create(self._path, spec)

    def counts(self) -> Counts | None:
        store = self._opened()
        return None if store is None else store.counts()

    def shared(self, source: str) -> Iterable[tuple[str, str]]:
        store = self._opened()
        return () if store is None else shared_pictures(store, source)

    def alike(self, names: Set[str]) -> list[tuple[str, ...]]:
        store = self._opened()
        return [] if store is None else names_alike((person.name for person in store.people()), names)

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def _opened(self) -> Store | None:
        if self._store is None and self._path.exists():
            self._store = Store.open(self._path)
        return self._store
