"""albums.db: one connection for writing, a few for reading, and a lock on the file.

As durable as the gallery: WAL with synchronous=FULL, so acknowledged changes survive a crash of the machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from facewire.server.albums import schema
from facewire.server.errors import Busy, StartError
from facewire.server.gallery.storage import lineage
from facewire.server.gallery.storage.connection import (
    BUSY_TIMEOUT_MS,
    clear_place,
    configure,
    prepare_file,
    settle,
    tighten,
)
from facewire.server.gallery.storage.footing import Footing
from facewire.server.gallery.storage.schema import migrate, version_of
from facewire.server.gallery.watch import Watch
from facewire.server.names import contains, folded
from facewire.server.spec import EmbeddingSpec
from facewire.server.storage import Connection, database_errors, os_reason, reason_of

OWNER_ONLY = 0o700
"""Mode of folders: other users of the machine must not read photographs and names."""

_READERS = 4  # how many listings may run in parallel; more wait their turn


_log = logging.getLogger("facewire.albums")


class AlbumsUnavailable(StartError):
    """The folder can't be used now. A server can start without albums unless the folder was given explicitly."""


class Database:
    """Thread-safe. Transactions: `writing` and `reading`. A reader sees a snapshot and never waits for a writer."""

    def __init__(self, path: Path, lock: int) -> None:
        """Use `open`."""
        self._path = path
        self._lock_file = lock
        self._writing = threading.Lock()  # guards the writer and `_closed`
        self._closed = False
        self._writer = _connect(path)
        self._readers: queue.LifoQueue[sqlite3.Connection | None] = queue.LifoQueue(_READERS)  # None: closed
        for _ in range(_READERS):
            self._readers.put(_connect(path))
        self._writer.execute("SELECT count(*) FROM albums").fetchone()  # creates the write-ahead log
        self._footing = Footing(path)
        self._watch = Watch(self._footing.trouble)

    @classmethod
    def open(cls, root: Path) -> Self:
        """Opens the database in the folder `root`, creating both if missing. Raises StartError."""
        try:
            root.mkdir(parents=True, exist_ok=True, mode=OWNER_ONLY)
            tighten_folder(root)
            lock = os.open(root / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise _unusable(root, os_reason(error)) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:  # released by the kernel when its process ends, however that happens
            os.close(lock)
            raise AlbumsUnavailable(f"another server uses the albums in {root}; name others with --albums") from error
        try:
            _prepare(root / "albums.db")
            return cls(root / "albums.db", lock)
        except OSError as error:
            os.close(lock)
            raise _unusable(root, os_reason(error)) from error
        except sqlite3.DatabaseError as error:
            os.close(lock)
            reason = reason_of(error, root / "albums.db")
            if reason is None:
                raise
            raise _unusable(root, reason) from error
        except StartError:
            os.close(lock)
            raise

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed and on disk when the block succeeds, rolled back when it fails. Raises Busy
        if the database is closed, StorageFailed."""
        with self._writing:
            if self._closed:
                raise Busy("the server is stopping", retry_after_ms=1000)
            self._footing.check()
            with database_errors(self._path):
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                    lineage.advance(self._writer)
                    self._writer.execute("COMMIT")
                finally:
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
            self._footing.check()  # don't acknowledge changes to a deleted file

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A read transaction on a snapshot. Raises Busy if the database is closed, StorageFailed."""
        connection = self._readers.get()
        if connection is None:
            self._readers.put(None)  # for the next reader
            raise Busy("the server is stopping", retry_after_ms=1000)
        try:
            with database_errors(self._path):
                connection.execute("BEGIN")
                yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._readers.put(connection)

    def close(self) -> None:
        """Closes after waiting for the transactions under way. Harmless when repeated."""
        self._watch.close()
        with self._writing:
            if self._closed:
                return
            self._closed = True
            readers = [self._readers.get() for _ in range(_READERS)]
            self._readers.put(None)
            with self._footing.leaving():
                for reader in (*readers, self._writer):
                    if reader is not None:
                        reader.close()
            os.close(self._lock_file)

    def trouble(self) -> str:
        """Why changes would be lost (the database was deleted or replaced while open); empty if all is well."""
        return self._footing.trouble()


def spec_id(connection: sqlite3.Connection, spec: EmbeddingSpec) -> int:
    """The id of a spec, which is recorded if new."""
    connection.execute(
        "INSERT OR IGNORE INTO specs (fingerprint, json) VALUES (?, ?)", (spec.fingerprint, spec.to_json())
    )
    row = connection.execute("SELECT id FROM specs WHERE fingerprint = ?", (spec.fingerprint,)).fetchone()
    return int(row[0])


def _prepare(path: Path) -> None:
    """Makes sure that the file is an albums database, migrated to the current schema. Raises StartError."""
    if path.exists():
        settle(path)
        tighten(path)
    else:
        clear_place(path)
        prepare_file(path)
    connection = sqlite3.connect(path, factory=Connection, isolation_level=None)
    try:
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if mark != schema.APPLICATION_ID and (mark or tables):
            raise StartError(f"{path} is not a database of albums: name another folder with --albums", exit_code=2)
        if version_of(connection) > len(schema.MIGRATIONS):
            raise StartError(f"{path} was written by a newer facewire: update facewire here")
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection, schema.MIGRATIONS)
        # Not a migration: an older version can do without it.
        connection.execute("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID")
        lineage.begin(connection)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
            raise
        raise StartError(f"{path} is not a database: name another folder with --albums", exit_code=2) from error
    finally:
        connection.close()


def tighten_folder(folder: Path) -> None:
    """Removes all permissions of users who are neither the folder's owner nor in its group. Raises OSError."""
    if folder.stat().st_mode & 0o007:
        folder.chmod(OWNER_ONLY)
        _log.warning("%s was readable by everybody on this machine: now only by its owner", folder)


def _unusable(root: Path, reason: str) -> AlbumsUnavailable:
    return AlbumsUnavailable(f"{root} can't hold albums: {reason}; or name another folder with --albums")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, factory=Connection, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
    )
    connection.row_factory = sqlite3.Row
    # contains(name, folded text): for searching by a part of a name. NULL contains nothing.
    connection.create_function("contains", 2, lambda name, wanted: name is not None and contains(name, wanted))
    # folded(name): for sorting names as people look them up. NULL stays NULL.
    connection.create_function("folded", 1, lambda name: None if name is None else folded(name), deterministic=True)
    configure(connection)
    return connection
