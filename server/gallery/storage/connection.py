"""Opening a database file: checking that it is ours, configuring the connection, and handling the files beside it.

Durability: WAL with synchronous=FULL, so a commit has reached the disk when it returns, and acknowledged changes
survive a crash of the process or the machine. It costs one fsync per enrolment, a few milliseconds at most; NORMAL
would save it and lose the last commits in a power failure.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
from pathlib import Path
from typing import Literal

from facewire.server.errors import StartError
from facewire.server.gallery.storage import schema
from facewire.server.gallery.storage.companions import set_aside
from facewire.server.gallery.storage.foreign import explain
from facewire.server.spec import EmbeddingSpec

OWNER_ONLY = 0o600
"""Faces and names: only the owner may read them."""

_EVERYBODY = 0o007

_log = logging.getLogger("facewire.gallery")

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another process's transaction. The longest one, the last of create_db, moves 200,000
templates in a few seconds."""


INDEX_SUFFIX = "-index"
"""Suffix of the file of scales, appended to the database's name (see search.scales_file)."""


def discard_companions(path: Path) -> None:
    """Remove the files that a database of ours, no longer at `path` and no longer needed, left beside it."""
    for suffix in ("-wal", "-shm", "-journal", INDEX_SUFFIX):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def clear_place(path: Path) -> None:
    """Prepare `path`, where no database exists, for a new one. The log of a deleted database is set aside, as it may
    hold the only copy of its data; the index, with faces that somebody meant to delete, is removed. Raises OSError."""
    set_aside(path, "-wal", "-shm", "-journal")
    path.with_name(path.name + INDEX_SUFFIX).unlink(missing_ok=True)


def prepare_file(path: Path) -> None:
    """Create an empty file for a new database, readable by its owner only; SQLite gives its log the same permissions.
    Raises OSError."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, OWNER_ONLY))


def tighten(path: Path) -> None:
    """Remove other users' access to a database and the files beside it.

    Group access stays, as it may be intended; older versions created files readable by everybody.
    """
    path = path.resolve()
    for suffix in ("", "-wal", "-shm", INDEX_SUFFIX):
        there = path.with_name(path.name + suffix)
        try:
            mode = stat.S_IMODE(there.stat().st_mode)
            if mode & _EVERYBODY:
                there.chmod(OWNER_ONLY)
                _log.warning("%s could be read by everybody on this machine: now only by its owner", there.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            _log.warning("%s can be read by everybody on this machine: %s", there.name, error.strerror)


def connect(path: Path, mode: Literal["rw", "rwc"]) -> sqlite3.Connection:
    """Open `path`; "rwc" creates it if it is missing.

    In autocommit mode, so that this package alone decides where transactions begin and end.
    """
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000)


def configure(connection: sqlite3.Connection) -> None:
    """Set the options that a file does not store. Only for galleries of ours, as it reads the file."""
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA recursive_triggers = ON")  # sqlite_utils sets it on first use
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # overwrite deleted data: it was somebody's face


def use_log(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log, a setting it stores; backup copies, for example, are stored without one."""
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode = WAL")


def check_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Raises StartError unless the file is a gallery that this version can read. Writes nothing."""
    try:
        ours, version = schema.is_gallery(connection), schema.version_of(connection)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
            raise
        raise _not_ours(path, "a database") from error
    if not ours:
        raise _not_ours(path, "a facewire gallery")
    if version > len(schema.MIGRATIONS):
        raise StartError(
            f"{path} is of a newer facewire (its schema {version}, ours {len(schema.MIGRATIONS)}): update this one"
        )


def _not_ours(path: Path, kind: str) -> StartError:
    known = explain(path)
    advice = known if known is not None else "choose another --db"
    return StartError(f"{path} is not {kind}: {advice}", exit_code=2)


def current_spec(connection: sqlite3.Connection, path: Path) -> tuple[int, EmbeddingSpec]:
    """The id and value of the gallery's spec. Raises StartError if it has none that this version can read."""
    row = connection.execute(f"SELECT id, json FROM specs WHERE id = {schema.CURRENT_SPEC_ID}").fetchone()
    if row is None:
        raise StartError(f"{path} names no model, its creation was interrupted: delete it and run scripts/create_db.py")
    try:
        return int(row[0]), EmbeddingSpec.from_json(row[1])
    except (ValueError, KeyError, TypeError) as error:
        raise StartError(f"{path} names a model that this version can't read: {error}") from error
