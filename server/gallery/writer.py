"""Committing a change and publishing it: SQLite first, then the snapshot that readers see.

What a change touched is read from the journal within its own transaction, where nobody else can write; with it comes
whatever other processes have written since the last time. So the snapshot is always one that the database had.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from server.errors import Busy, ModelMismatch, StartError, StorageFailed
from server.gallery import erasing, journal
from server.gallery.delta import applied, read_delta
from server.gallery.events import Draft, Event, Op
from server.gallery.rows import Derive, Rows
from server.gallery.snapshot import Snapshot
from server.gallery.store import Store

Outcome = TypeVar("Outcome")

_Following = tuple[Snapshot, bool]

RETRY_AFTER_MS = 1000
"""Told who could not write because another process did so for longer than `connection.BUSY_TIMEOUT_MS`."""


class Writer:
    """The one connection that writes, and the snapshot that follows it. Thread-safe; writers wait for each other."""

    def __init__(self, store: Store, path: Path, derive: Derive, exact_bytes: int, forget: Callable[[], None]) -> None:
        """`forget`: rids the disk of what lies beside the database, once somebody was erased.

        Raises StartError where templates are damaged."""
        self._store = store
        self._derive = derive
        self._exact_bytes = exact_bytes
        self._path = path
        self._forget = forget
        # Guards the connection, and the order in which commits are published. Readers don't take it.
        self._writing = threading.Lock()
        self._publish(load(store, path, derive, exact_bytes))
        if erasing.is_pending(store):
            forget()
            erasing.wipe(store, path)

    @property
    def snapshot(self) -> Snapshot:
        """What is in force now."""
        return self._snapshot

    def change(self, op: Op, edit: Callable[[Store, Draft], Outcome]) -> tuple[Outcome, Event | None]:
        """Run `edit` as one event in one transaction; in force, and on disk, when this returns.

        What `edit` returns, and the event; None where it changed nothing. Raises what `edit` raises, ModelMismatch
        where the database was rebuilt for another model, Busy and StorageFailed; nothing is changed then.
        """
        with self._writing:
            outcome, event, following = self._committed(op, edit)
            self._publish(*following)
            return outcome, event

    def erase(self, name: str) -> tuple[erasing.Found, Event, str]:
        """Remove a person for good; the last says what of them is left on the disk, and is empty where nothing is."""
        with self._writing:
            found, event, following = self._committed("erase", lambda store, draft: erasing.erase(store, draft, name))
            assert event is not None, "a person was deleted"
            self._publish(*following)
            note = erasing.wipe(self._store, self._path)
            return found, event, note

    def refresh(self) -> bool:
        """Take in what other processes have committed; whether there was anything. Raises what `change` raises."""
        with self._writing:
            try:
                with self._store.reading():
                    if (journal.newest(self._store), self._store.epoch()) == (
                        self._snapshot.event,
                        self._snapshot.epoch,
                    ):
                        return False
                    self._store.require_spec()
                    following = self._following()
            except sqlite3.DatabaseError as error:
                raise_storage_error(error)
            self._publish(*following)
            return True

    def close(self) -> None:
        """Close the database; a writer under way finishes first."""
        with self._writing:
            self._store.close()

    def _committed(self, op: Op, edit: Callable[[Store, Draft], Outcome]) -> tuple[Outcome, Event | None, _Following]:
        """The outcome and the event of a change that was committed, and what is to be published."""
        try:
            with self._store.transaction() as transaction:
                self._store.require_spec()
                draft = journal.begin(self._store, op)
                outcome = edit(self._store, draft)
                if journal.finish(self._store, draft):
                    return outcome, journal.event(self._store, draft.id), self._following()
                transaction.give_up()
                return outcome, None, self._following()
        except sqlite3.DatabaseError as error:
            raise_storage_error(error)

    def _following(self) -> _Following:
        """The snapshot of what the transaction sees, and whether somebody was erased since the last one."""
        same = self._store.epoch() == self._snapshot.epoch
        delta = read_delta(self._store, self._snapshot.event) if same else None
        if delta is None:
            return _read(self._store, self._derive, self._exact_bytes, after=self._snapshot), True
        return applied(self._snapshot, delta), delta.erased

    def _publish(self, snapshot: Snapshot, erased: bool = False) -> None:
        """Let readers see `snapshot`. By one thread at a time."""
        self._snapshot = snapshot
        if erased:
            self._forget()


def load(store: Store, path: Path, derive: Derive, exact_bytes: int) -> Snapshot:
    """What is committed: rows, people and paths of one instant. Raises StartError where templates are damaged."""
    try:
        with store.reading():
            return _read(store, derive, exact_bytes)
    except (ModelMismatch, ValueError, sqlite3.DatabaseError) as error:
        raise StartError(f"{path} is damaged: {error}; restore a backup or build it anew") from error


def raise_storage_error(error: sqlite3.DatabaseError) -> NoReturn:
    """Raise what a user is told: Busy or StorageFailed. What is a bug of ours is raised as it is."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        raise Busy("another process is writing to the database", retry_after_ms=RETRY_AFTER_MS) from error
    if code in _STORAGE:
        raise StorageFailed(f"{_STORAGE[code]}; nothing was changed") from error
    raise error


_STORAGE = {
    sqlite3.SQLITE_FULL: "the disk that the database is on is full: make room and try again",
    sqlite3.SQLITE_READONLY: "the database can't be written, it is read-only",
    sqlite3.SQLITE_IOERR: "the disk that the database is on failed; the server's log says more",
    sqlite3.SQLITE_CANTOPEN: "the database can't be opened any more",
    sqlite3.SQLITE_CORRUPT: "the database is damaged: restore a backup",
    sqlite3.SQLITE_NOTADB: "the database is damaged: restore a backup",
}


def _read(store: Store, derive: Derive, exact_bytes: int, after: Snapshot | None = None) -> Snapshot:
    """Everything anew, in the caller's transaction."""
    return Snapshot(
        version=after.version + 1 if after else 1,
        event=journal.newest(store),
        epoch=store.epoch(),
        rows=Rows.load(store.template_count(), store.spec.dimension, store.template_chunks(), derive, exact_bytes),
        people={person.id: person for person in store.people()},
        paths=dict(store.image_paths()),
    )
