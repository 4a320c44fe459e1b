"""Commits a change and publishes it: SQLite first, then the snapshot that readers see.

What a change touched is read from the journal within the same transaction, while nobody else can write, together with
whatever other processes have written since the last time. So every snapshot is a state that the database was in.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from facewire.server.errors import ModelMismatch, StartError
from facewire.server.gallery.events import Event, Found, Op
from facewire.server.gallery.search.directions import Directions
from facewire.server.gallery.search.rows import Measure, Rows
from facewire.server.gallery.snapshot import Snapshot
from facewire.server.gallery.storage import erasing, journal
from facewire.server.gallery.storage.delta import applied, read_delta
from facewire.server.gallery.storage.footing import Footing
from facewire.server.gallery.storage.journal import Draft
from facewire.server.gallery.storage.store import Store
from facewire.server.storage import os_reason, storage_errors

Outcome = TypeVar("Outcome")

_Following = tuple[Snapshot, bool]

_log = logging.getLogger("facewire.gallery")


class Writer:
    """The only writing connection, and the snapshot that follows it. Thread-safe; writers wait for each other."""

    def __init__(
        self,
        store: Store,
        path: Path,
        measure: Measure,
        directions: Directions | None,
        forget: Callable[[], None],
    ) -> None:
        """`forget`: deletes the files beside the database after somebody was erased.

        Raises StartError if templates are damaged, or if what an erasure left beside the database can't be deleted."""
        self._store = store
        self._measure = measure
        self._directions = directions
        self._path = path
        self._forget = forget
        # Guards the connection and the order in which commits are published. Readers don't take it.
        self._writing = threading.Lock()
        self._publish(load(store, path, measure, directions))
        self.footing = Footing(path)
        if erasing.is_pending(store):
            self._complete_erasure()

    def _complete_erasure(self) -> None:
        """Finish the wiping of an earlier process that was killed, or kept from it."""
        try:
            self._forget()
        except OSError as error:
            raise StartError(f"what was erased can't be deleted beside {self._path}: {os_reason(error)}") from error
        if left := erasing.wipe(self._store, self._path):
            _log.warning("%s", left)

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
            return _read(self._store, self._measure, self._directions, after=self._snapshot), True
        return applied(self._snapshot, delta), delta.erased

    def _publish(self, snapshot: Snapshot, erased: bool = False) -> str:
        """Make `snapshot` visible to readers; returns what is left on the disk of an erased person. One thread at a
        time."""
        self._snapshot = snapshot
        if erased:
            try:
                self._forget()
            except OSError as error:
                left = f"the index beside {self._path.name} can't be deleted: {os_reason(error)}"
                _log.error("%s", left)
                return left
        return ""


def load(store: Store, path: Path, measure: Measure, directions: Directions | None) -> Snapshot:
    """The committed state: rows, people and paths at one instant. Raises StartError if templates are damaged."""
    try:
        with store.reading():
            return _read(store, measure, directions)
    except (ModelMismatch, ValueError, sqlite3.DatabaseError) as error:
        raise StartError(f"{path} is damaged: {error}; restore a backup or build it anew") from error


def _read(store: Store, measure: Measure, directions: Directions | None, after: Snapshot | None = None) -> Snapshot:
    """Load everything, in the caller's transaction."""
    return Snapshot(
        version=after.version + 1 if after else 1,
        event=journal.newest(store),
        epoch=store.epoch(),
        rows=Rows.load(store.template_count(), store.spec.dimension, store.template_chunks(), measure, directions),
        people={person.id: person for person in store.people()},
        paths=dict(store.image_paths()),
    )
