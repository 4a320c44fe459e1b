"""Connections for reading, separate from the writer's (readers never wait for writers), and what is read with them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facewire.server.errors import UnknownTemplate
from facewire.server.gallery.records import KeptTemplate, Person, PersonRecord
from facewire.server.gallery.storage.edits import meant
from facewire.server.gallery.storage.footing import Footing
from facewire.server.gallery.storage.schema import CURRENT_SPEC_ID
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


def shown(
    store: Store, name: str, offset: int, limit: int, *, crops: bool
) -> tuple[PersonRecord, tuple[KeptTemplate, ...]]:
    """A person and a page of their templates, sorted by id; in the caller's transaction. Raises UnknownPerson."""
    person = meant(store, name)
    rows = store.execute(
        f"SELECT {_kept_columns(crops)} FROM templates t INDEXED BY templates_by_person {_AROUND}"
        f" WHERE t.person_id = ? AND t.spec_id = {CURRENT_SPEC_ID} ORDER BY t.id LIMIT ? OFFSET ?",
        (person.id, limit, offset),
    ).fetchall()
    return _record(store, person), tuple(map(_kept, rows))


def template_shown(store: Store, template_id: int, *, crops: bool) -> tuple[PersonRecord, KeptTemplate]:
    """A template, and who has it; in the caller's transaction. Raises UnknownTemplate."""
    row = store.execute(
        f"SELECT {_kept_columns(crops)}, p.id, p.name, p.created FROM templates t {_AROUND}"
        f" JOIN people p ON p.id = t.person_id WHERE t.id = ? AND t.spec_id = {CURRENT_SPEC_ID}",
        (template_id,),
    ).fetchone()
    if row is None:
        raise UnknownTemplate(f"there is no template {template_id}")
    *kept, person_id, name, created = row
    return _record(store, Person(person_id, name, created)), _kept(kept)


_AROUND = "JOIN images i ON i.id = t.image_id LEFT JOIN crops c ON c.id = t.id"


def _kept_columns(crops: bool) -> str:
    return f"t.id, i.path, t.x, t.y, t.w, t.h, t.detection, i.created, {'c.jpeg' if crops else 'NULL'}"


def _kept(row: Sequence[Any]) -> KeptTemplate:
    template_id, path, x, y, w, h, detection, created, crop = row
    return KeptTemplate(template_id, path, (x, y, w, h), detection, created, crop)


def _record(store: Store, person: Person) -> PersonRecord:
    images, templates, first = store.execute(
        "SELECT count(DISTINCT image_id), count(*), coalesce(min(id), 0) FROM templates INDEXED BY templates_by_person"
        f" WHERE person_id = ? AND spec_id = {CURRENT_SPEC_ID}",
        (person.id,),
    ).fetchone()
    return PersonRecord(person.id, person.name, person.created, images, templates, first)
