"""Opening a database file: checking that it is ours, configuring the connection, and handling the files beside it,
which may belong to another database.

Durability: WAL with synchronous=FULL, so a commit has reached the disk when it returns, and acknowledged changes
survive a crash of the process or the machine. It costs one fsync per enrolment, a few milliseconds at most; NORMAL
would save it and lose the last commits in a power failure.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from facewire.server.errors import StartError
from facewire.server.gallery.storage import schema
from facewire.server.gallery.storage.lineage import is_foreign, log_of
from facewire.server.spec import EmbeddingSpec
from facewire.server.storage import Connection, read_only

OWNER_ONLY = 0o600
"""Faces and names: only the owner may read them."""

_EVERYBODY = 0o007

_log = logging.getLogger("facewire.gallery")

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another process's transaction. The longest one, the last of create_db, moves 200,000
templates in a few seconds."""


INDEX_SUFFIX = "-index"
"""Suffix of the index file, appended to the database's name (see search.index_file)."""


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
                _log.warning("%s was readable by everybody on this machine: now only by its owner", there.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            _log.warning("%s is readable by everybody on this machine: %s", there.name, error.strerror)


def connect(path: Path, mode: Literal["rw", "rwc"]) -> sqlite3.Connection:
    """Open `path`; "rwc" creates it if it is missing.

    In autocommit mode, so that this package alone decides where transactions begin and end.
    """
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(
        uri, uri=True, factory=Connection, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
    )


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
            f"{path} was written by a newer facewire (its schema {version}, ours {len(schema.MIGRATIONS)}):"
            " update facewire here"
        )


def _not_ours(path: Path, kind: str) -> StartError:
    known = explain(path)
    advice = known if known is not None else "choose another --db"
    return StartError(f"{path} is not {kind}: {advice}", exit_code=2)


def current_spec(connection: sqlite3.Connection, path: Path) -> tuple[int, EmbeddingSpec]:
    """The id and value of the gallery's spec. Raises StartError if it has none that this version can read."""
    row = connection.execute(f"SELECT id, json FROM specs WHERE id = {schema.CURRENT_SPEC_ID}").fetchone()
    if row is None:
        raise StartError(
            f"{path} names no model because its creation was interrupted: delete it and run scripts/create_db.py"
        )
    try:
        return int(row[0]), EmbeddingSpec.from_json(row[1])
    except (ValueError, KeyError, TypeError) as error:
        raise StartError(f"{path} names a model that this version can't read: {error}") from error


SQLITE_MARK = b"SQLite format 3\0"
PICKLE_PROTOCOLS = tuple(b"\x80" + bytes([version]) for version in (2, 3, 4, 5))
PICKLE_SUFFIXES = (".pkl", ".pickle")

_INSTEAD = (
    "; embeddings of other programs can't be compared with ours: enrol the pictures they were made of, with"
    " python scripts/create_db.py PICTURES_FOLDER"
)


def explain(path: Path) -> str | None:
    """What another program's file is and what to do instead, as the end of an error message; None for any other file.

    Raises OSError if it can't be read.
    """
    with path.open("rb") as file:
        beginning = file.read(len(SQLITE_MARK))
    if beginning.startswith(PICKLE_PROTOCOLS) or path.suffix.lower() in PICKLE_SUFFIXES:
        return (
            "it is a Python pickle, as DeepFace keeps its representations in, and is not opened: reading a pickle runs"
            f" whatever code it holds{_INSTEAD}"
        )
    if beginning == SQLITE_MARK and {"face_meta", "face_embeddings"} <= _tables(path):
        return f"it is an ARKANGEL database (face_meta, face_embeddings){_INSTEAD}"
    return None


def _tables(path: Path) -> set[str]:
    try:
        with closing(read_only(path, immutable=False)) as connection:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:  # damaged, or not SQLite beyond its first bytes
        return set()


_SET_ASIDE = "-set-aside-"

# A separate process, because closing the file drops every lock that a process holds on it, including SQLite's. It locks
# bytes of which every SQLite connection holds a shared lock, until its stdin closes. "all" locks them exclusively: it
# succeeds only if nobody has the database open, and keeps everybody out. "share" takes some shared locks, so SQLite's
# last connection believes that others remain. It prints the header's format versions (2: uses a write-ahead log).
_HOLD = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
if sys.argv[2] == "all":
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 512, 0x40000000)
else:
    fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, 510, 0x40000002)
sys.stdout.write(os.pread(file, 2, 18).hex() + "\\n")
sys.stdout.flush()
sys.stdin.read()
"""

_log = logging.getLogger("facewire.gallery")


class _Alone(NamedTuple):
    """The exclusive lock is held: nobody has the database open. `in_wal_mode`: a rollback journal can't belong to
    it."""

    in_wal_mode: bool


def settle(path: Path) -> None:
    """Before opening the database at `path`, move aside a log or journal of another database, so it is never replayed.

    Raises StartError if that is impossible; the database must not be opened then.
    """
    path = path.resolve()  # files beside a symbolic link are ignored
    try:
        if not (_has_journal(path) or is_foreign(path, unmarked=True)):
            return
        with _alone(path) as alone:
            if alone is not None:
                # Check again: only now is it certain that nobody is in the middle of writing.
                if is_foreign(path, unmarked=True):
                    set_aside(path, "-wal", "-shm")
                if alone.in_wal_mode and _has_journal(path):
                    set_aside(path, "-journal")
                return
        if is_foreign(path, unmarked=False):
            raise StartError(
                f"{path} was overwritten while another process had it open, which would write its old content over it"
                " again: stop that process first, put the file there again, and then start"
            )
    except OSError as error:
        raise StartError(
            f"{log_of(path).name} is of another database than {path.name} and can't be moved aside: {error.strerror};"
            " move it away yourself"
        ) from error


def set_aside(path: Path, *suffixes: str) -> None:
    """Rename the files beside `path` with these suffixes, so that no database takes them for its own. Raises
    OSError."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    for suffix in suffixes:
        there = path.with_name(path.name + suffix)
        if not there.exists():
            continue
        if not there.stat().st_size:
            there.unlink()
            continue
        aside = path.with_name(f"{path.name}{_SET_ASIDE}{stamp}{suffix}")
        there.rename(aside)
        _log.warning("%s belongs to another database than %s: it is kept as %s", there.name, path.name, aside.name)


def _has_journal(path: Path) -> bool:
    journal = path.with_name(path.name + "-journal")
    return journal.exists() and journal.stat().st_size > 0


@contextmanager
def _alone(path: Path) -> Iterator[_Alone | None]:
    """Locks everybody else out of the database for the duration of the block; yields None if somebody has it open."""
    with _holding(path, "all") as versions:
        yield _Alone(versions == b"0202") if versions else None


@contextmanager
def unfolded(path: Path) -> Iterator[None]:
    """Closing the database within the block leaves its log in place instead of checkpointing it into the file."""
    with _holding(path, "share"):
        yield


@contextmanager
def _holding(path: Path, what: Literal["all", "share"]) -> Iterator[bytes]:
    """Locks the database's bytes; yields an empty value if that is impossible."""
    command = [sys.executable, "-I", "-S", "-c", _HOLD, str(path), what]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            yield holder.stdout.readline().strip()
        finally:
            holder.stdin.close()


def now() -> str:
    """The current time, ISO 8601 in UTC, in seconds, as rows have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
