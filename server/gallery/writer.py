"""Commits a change and publishes it: SQLite first, then the snapshot that readers see.

What a change touched is read from the journal within the same transaction, while nobody else can write, together with
whatever other processes have written since the last time. So every snapshot is a state that the database was in.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from facewire.server.errors import ModelMismatch, StartError
from facewire.server.gallery.events import Event, Found, Op
from facewire.server.gallery.search.directions import Directions
from facewire.server.gallery.search.index_file import IndexFile
from facewire.server.gallery.search.rows import Measure, Rows
from facewire.server.gallery.search.warming import Warming
from facewire.server.gallery.snapshot import Snapshot
from facewire.server.gallery.storage import erasing, journal
from facewire.server.gallery.storage.connection import BUSY_TIMEOUT_MS
from facewire.server.gallery.storage.delta import applied, read_delta
from facewire.server.gallery.storage.footing import Footing
from facewire.server.gallery.storage.journal import Draft
from facewire.server.gallery.storage.store import Store
from facewire.server.storage import os_reason, storage_errors

Outcome = TypeVar("Outcome")

_Following = tuple[Snapshot, bool]

SAMPLE = 256
"""Templates of the index file compared with the database's at each start: 5 ms."""

PATIENCE_MS = 1_000
"""How long a start waits for other writers to note that the index file was written."""

_log = logging.getLogger("facewire.gallery")


class Writer:
    """The only writing connection, and the snapshot that follows it. Thread-safe; writers wait for each other."""

    def __init__(
        self,
        store: Store,
        path: Path,
        index: IndexFile,
        directions: Directions | None,
    ) -> None:
        """`index`: the file beside the database, deleted when somebody is erased; `directions` for templates that it
        doesn't show.

        Raises StartError if templates are damaged, or if what an erasure left beside the database can't be deleted."""
        self._store = store
        self._index = index
        self._directions = directions
        self._path = path
        # Guards the connection and the order in which commits are published. Readers don't take it.
        self._writing = threading.Lock()
        self._snapshot = load(store, path, index.measure, directions, index)
        self.footing = Footing(path)
        if erasing.is_pending(store):
            self._complete_erasure()
        self._keep_index()
        self._warming = Warming(self._snapshot.rows.embeddings)

    def _complete_erasure(self) -> None:
        """Finish the wiping of an earlier process that was killed, or kept from it."""
        try:
            self._index.remove()
        except OSError as error:
            raise StartError(f"what was erased can't be deleted beside {self._path}: {os_reason(error)}") from error
        if left := erasing.wipe(self._store, self._path):
            _log.warning("%s", left)

    def _keep_index(self) -> None:
        """After loading: write the index file, if it lacks much, and use it instead of memory of our own."""
        snapshot = self._snapshot
        if self._index.lacks(snapshot.rows):
            token = self._index.write(snapshot.rows, snapshot.event, snapshot.epoch)
            if token and self._agreed(token, snapshot) and (rows := self._index.mapped(token)):
                self._snapshot = replace(snapshot, rows=rows)
        self._index.loaded()

    def _agreed(self, token: str, snapshot: Snapshot) -> bool:
        """Whether the database now holds the token of the file that shows `snapshot`; without it the file is only good
        for scales."""
        self._store.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
        try:
            with self._store.transaction() as transaction:
                same = (journal.newest(self._store), self._store.epoch()) == (snapshot.event, snapshot.epoch)
                if same:
                    self._store.keep_index_token(token)
                else:
                    transaction.give_up()
                return same
        except sqlite3.OperationalError as error:
            _log.warning("the index of %s is of no use to the next start: %s", self._path, error)
            return False
        finally:
            self._store.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")

    @property
    def snapshot(self) -> Snapshot:
        """The current snapshot."""
        return self._snapshot

    def change(self, op: Op, edit: Callable[[Store, Draft], Outcome]) -> tuple[Outcome, Event | None]:
        """Run `edit` as one event in one transaction; visible to readers, and on disk, when this returns.

        Returns what `edit` returns, and the event, or None if nothing changed. Raises what `edit` raises, ModelMismatch
        if the database was rebuilt for another model, Busy and StorageFailed; nothing was changed then.
        """
        with self._writing:
            outcome, event, following = self._committed(op, edit)
            self._publish(*following)
            return outcome, event

    def erase(self, name: str) -> tuple[Found, Event, str]:
        """Erase a person for good; the string says what is left of them on the disk, empty if nothing is."""
        with self._writing:
            found, event, following = self._committed("erase", lambda store, draft: erasing.erase(store, draft, name))
            assert event is not None, "a person was deleted"
            kept = self._publish(*following)
            return found, event, "; ".join(filter(None, (kept, erasing.wipe(self._store, self._path))))

    def refresh(self) -> bool:
        """Load other processes' commits; True if there were any. Raises what `change` raises."""
        with self._writing:
            self.footing.check()
            with storage_errors(self._path), self._store.reading():
                if (journal.newest(self._store), self._store.epoch()) == (self._snapshot.event, self._snapshot.epoch):
                    return False
                self._store.require_spec()
                following = self._following()
            self._publish(*following)
            return True

    def close(self) -> None:
        """Close the database, after a writer in progress."""
        self._warming.close()
        with self._writing:
            self._store.close()

    def _committed(self, op: Op, edit: Callable[[Store, Draft], Outcome]) -> tuple[Outcome, Event | None, _Following]:
        """Run and commit a change: its outcome, its event, and the snapshot to publish."""
        self.footing.check()
        with storage_errors(self._path), self._store.transaction() as transaction:
            self._store.require_spec()
            draft = journal.begin(self._store, op)
            outcome, event = edit(self._store, draft), None
            if journal.finish(self._store, draft):
                event = journal.event(self._store, draft.id)
            else:
                transaction.give_up()
            following = self._following()
        # Check again: a change written to a file that was meanwhile deleted must not be acknowledged.
        self.footing.check()
        return outcome, event, following

    def _following(self) -> _Following:
        """The snapshot of the transaction's state, and whether somebody was erased since the previous one."""
        same = self._store.epoch() == self._snapshot.epoch
        delta = read_delta(self._store, self._snapshot.event) if same else None
        if delta is None:
            return _read(self._store, self._index.measure, self._directions, after=self._snapshot), True
        return applied(self._snapshot, delta), delta.erased

    def _publish(self, snapshot: Snapshot, erased: bool = False) -> str:
        """Make `snapshot` visible to readers; returns what is left on the disk of an erased person. One thread at a
        time."""
        self._snapshot = snapshot
        if erased:
            try:
                self._index.remove()
            except OSError as error:
                left = f"the index beside {self._path.name} can't be deleted: {os_reason(error)}"
                _log.error("%s", left)
                return left
        return ""


def load(
    store: Store, path: Path, measure: Measure, directions: Directions | None, index: IndexFile | None = None
) -> Snapshot:
    """The committed state: rows, people and paths at one instant. Rows come from `index` where the database continues
    from what it shows. Raises StartError if templates are damaged."""
    try:
        with store.reading():
            rows = _continued(store, index) if index else None
            return _read(store, measure, directions, rows=rows)
    except (ModelMismatch, ValueError, sqlite3.DatabaseError) as error:
        raise StartError(f"{path} is damaged: {error}; restore a backup or build it again") from error


def _continued(store: Store, index: IndexFile) -> Rows | None:
    """The rows of the index file and what the journal says of them since; None if they are not the database's."""
    kept = index.kept(store.index_token())
    if kept is None:
        return None
    delta = read_delta(store, kept.event) if kept.epoch == store.epoch() else None
    if delta is not None:
        rows = kept.rows.edited(delta.touched, delta.templates)
        if len(rows) == store.template_count() and _agree(store, rows):
            return rows
        _log.warning("the index file shows other templates than the database: it is made again")
    index.disbelieve()
    return None


def _agree(store: Store, rows: Rows) -> bool:
    """Whether some of the rows, from the first to the last, are as the database has them: a look for damage."""
    some = np.unique(np.linspace(0, max(len(rows) - 1, 0), SAMPLE).astype(np.int64))[: len(rows)]
    asked = ", ".join(map(str, rows.template_ids[some].tolist()))
    chunks = list(store.template_chunks(f"id IN ({asked})"))
    return all(
        np.array_equal(mine[some], np.concatenate([np.zeros_like(mine[:0]), *theirs]))
        for mine, theirs in (
            (rows.embeddings, [chunk.embeddings for chunk in chunks]),
            (rows.image_ids, [chunk.image_ids for chunk in chunks]),
            (rows.person_ids, [chunk.person_ids for chunk in chunks]),
        )
    )


def _read(
    store: Store,
    measure: Measure,
    directions: Directions | None,
    after: Snapshot | None = None,
    rows: Rows | None = None,
) -> Snapshot:
    """Load everything, or everything but these rows, in the caller's transaction."""
    if rows is None:
        rows = Rows.load(store.template_count(), store.spec.dimension, store.template_chunks(), measure, directions)
    return Snapshot(
        version=after.version + 1 if after else 1,
        event=journal.newest(store),
        epoch=store.epoch(),
        rows=rows,
        people={person.id: person for person in store.people()},
        paths=dict(store.image_paths()),
    )
