"""Opening a database file: whose it is, how it is spoken to, and what lies beside it.

Durability: WAL with synchronous=FULL, so a commit has reached the disk when it returns, and what was acknowledged
survives a crash of the process and of the machine. It costs one fsync an enrolment, a millisecond or a few; NORMAL
would save it and lose the last commits with the power.
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
"""Faces and names: for nobody else on the machine to read."""

_EVERYBODY = 0o007

_log = logging.getLogger("facewire.gallery")

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another process's transaction. create_db's last one, the longest there is, moves 200,000
templates in a few seconds."""


INDEX_SUFFIX = "-index"
"""What the file of scales is called after its database (see search.scales_file)."""


def discard_companions(path: Path) -> None:
    """Remove what a database of ours that is no longer at `path`, and that nobody needs, left beside it."""
    for suffix in ("-wal", "-shm", "-journal", INDEX_SUFFIX):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def clear_place(path: Path) -> None:
    """Make `path`, where no database is, ready for a new one. The log of one that was deleted there is set aside, for
    it may hold what nobody else has; its index, of faces that somebody meant to delete, goes. Raises OSError."""
    set_aside(path, "-wal", "-shm", "-journal")
    path.with_name(path.name + INDEX_SUFFIX).unlink(missing_ok=True)


def prepare_file(path: Path) -> None:
    """An empty file for a new database that only its owner may read; SQLite makes its log as private as the file is.
    Raises OSError."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, OWNER_ONLY))


def tighten(path: Path) -> None:
    """Take a database, and what lies beside it, away from everybody who is neither its owner nor in its group.

    A group may have been given it on purpose; everybody has it where an older version made it.
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
    """Open `path`; "rwc" creates it where it is missing.

    In autocommit mode, so that transactions begin and end where this package says, and nowhere else.
    """
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000)


def configure(connection: sqlite3.Connection) -> None:
    """What a connection doesn't remember from the file. Only for files known to be ours: it reads them."""
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA recursive_triggers = ON")  # as sqlite_utils sets it, whenever it comes to be used
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten: it was somebody's face


def use_log(connection: sqlite3.Connection) -> None:
    """Have the file use a write-ahead log, which it remembers; copies, for one, use none."""
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
    """The id and the spec that the gallery names as its own. Raises StartError where it names none that we can read."""
    query = "SELECT id, json FROM specs WHERE id = (SELECT value FROM meta WHERE key = 'spec_id')"
    row = connection.execute(query).fetchone()
    if row is None:
        raise StartError(f"{path} names no model, its creation was interrupted: delete it and run scripts/create_db.py")
    try:
        return int(row[0]), EmbeddingSpec.from_json(row[1])
    except (ValueError, KeyError, TypeError) as error:
        raise StartError(f"{path} names a model that this version can't read: {error}") from error
