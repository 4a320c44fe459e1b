"""albums.db: one connection that writes, a few that read, and whose file it is.

As durable as the gallery: WAL with synchronous=FULL, so what was acknowledged survives a crash of the machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from server.albums import schema
from server.errors import Busy, StartError
from server.gallery.connection import BUSY_TIMEOUT_MS, configure
from server.gallery.schema import migrate, version_of
from server.spec import EmbeddingSpec

_READERS = 4  # as many as cores are worth keeping busy with lists; more wait their turn


class AlbumsUnavailable(StartError):
    """The folder can't be used here and now; a server can do without, unless it was named."""


class Database:
    """Thread-safe. Transactions are `writing` and `reading`; a reader sees one instant and never waits for a writer."""

    def __init__(self, path: Path, lock: int) -> None:
        """Use `open`."""
        self._lock_file = lock
        self._writing = threading.Lock()  # guards the writer and `_closed`
        self._closed = False
        self._writer = _connect(path)
        self._readers: queue.LifoQueue[sqlite3.Connection | None] = queue.LifoQueue(_READERS)  # None: closed
        for _ in range(_READERS):
            self._readers.put(_connect(path))

    @classmethod
    def open(cls, root: Path) -> Self:
        """The database in the folder `root`, both made where missing. Raises StartError."""
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(root / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise AlbumsUnavailable(
                f"{root} can't hold albums: {error.strerror}; name another with --albums"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _prepare(root / "albums.db")
            return cls(root / "albums.db", lock)
        except OSError as error:  # released by the kernel when its process ends, however that happens
            os.close(lock)
            raise AlbumsUnavailable(f"another server uses the albums in {root}; name others with --albums") from error
        except (StartError, sqlite3.DatabaseError):
            os.close(lock)
            raise

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, committed and on disk when the block ends well, undone when it doesn't. Raises Busy."""
        with self._writing:
            if self._closed:
                raise Busy("the server is stopping", retry_after_ms=1000)
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A view of one instant. Raises Busy at the end."""
        connection = self._readers.get()
        if connection is None:
            self._readers.put(None)  # for the next who comes
            raise Busy("the server is stopping", retry_after_ms=1000)
        try:
            connection.execute("BEGIN")
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._readers.put(connection)

    def close(self) -> None:
        """Waits for the transactions under way. Harmless when repeated."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            readers = [self._readers.get() for _ in range(_READERS)]
            self._readers.put(None)
            for reader in (*readers, self._writer):
                if reader is not None:
                    reader.close()
            os.close(self._lock_file)


def spec_id(connection: sqlite3.Connection, spec: EmbeddingSpec) -> int:
    """The number of a spec, which is noted where it is new."""
    connection.execute(
        "INSERT OR IGNORE INTO specs (fingerprint, json) VALUES (?, ?)", (spec.fingerprint, spec.to_json())
    )
    row = connection.execute("SELECT id FROM specs WHERE fingerprint = ?", (spec.fingerprint,)).fetchone()
    return int(row[0])


def now() -> str:
    """ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _prepare(path: Path) -> None:
    """The file is ours and of today's schema afterwards. Raises StartError."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if mark != schema.APPLICATION_ID and (mark or tables):
            raise StartError(f"{path} is not a database of albums: name another folder with --albums", exit_code=2)
        if version_of(connection) > len(schema.MIGRATIONS):
            raise StartError(f"{path} is of a newer facewire: update this one")
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection, schema.MIGRATIONS)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
            raise
        raise StartError(f"{path} is not a database: name another folder with --albums", exit_code=2) from error
    finally:
        connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000)
    connection.row_factory = sqlite3.Row
    configure(connection)
    return connection
