"""Storage errors of the operating system and SQLite, translated into messages that say what to do."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facewire.server.errors import Busy, RequestError, StorageFailed

RETRY_AFTER_MS = 1000
"""When to retry after another process held the write lock for longer than `connection.BUSY_TIMEOUT_MS`."""

_FULL = "the disk is full: make room and try again"
_READ_ONLY = "the file system is read-only: mount it for writing, or move the database to one that is"
_DENIED = "the server's user may not write there: give it the right to, or run it as the owner"
_FAILED = "the disk failed (an input/output error): look into the system's log before anything is written again"
_TOO_MANY = "the server has too many files open: raise its limit (ulimit -n) and start it again"

_ERRNO = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: "the disk quota is used up: make room and try again",
    errno.EFBIG: "the file would grow beyond what the system allows (ulimit -f, or the file system)",
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EIO: _FAILED,
    errno.EMFILE: _TOO_MANY,
    errno.ENFILE: _TOO_MANY,
    errno.ENOENT: "a file or folder of it was deleted: put it back, or restore a copy",
    errno.ENOTDIR: "a folder of it was replaced: put it back, or restore a copy",
    errno.ESTALE: "the file system it lies on went away: mount it again and restart the server",
    errno.ENODEV: "the disk it lies on went away: mount it again and restart the server",
}

_SQLITE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: "the file is read-only",
    sqlite3.SQLITE_PERM: _DENIED,
    sqlite3.SQLITE_IOERR: _FAILED,
    sqlite3.SQLITE_CANTOPEN: "the file can't be opened",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore a backup",
    sqlite3.SQLITE_NOTADB: "the file is damaged: restore a backup",
}

_TRIAL_BYTES = 1 << 18
"""Bytes of a trial write: more than a change of a few templates needs."""

_VAGUE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""SQLite codes with several possible causes, which inspecting the file tells apart."""


class Connection(sqlite3.Connection):
    """A connection to a file that may be damaged, or read while it is being written: `sqlite3.connect(factory=...)`.

    SQLite's message about a schema quotes it. Where the quoted bytes aren't text, Python raises UnicodeDecodeError and
    SQLite's error is lost; it is given back here. (A column that isn't text raises OperationalError.)
    """

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        with _decoded():
            return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        with _decoded():
            return super().executemany(sql, parameters)


def read_only(path: Path, *, immutable: bool = True) -> Connection:
    """Opens the database at `path` for reading. `immutable`: without its log, without a lock, and no file appears
    beside it; what others write meanwhile may be seen half. Raises sqlite3.Error, as late as the first read."""
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
    return sqlite3.connect(uri, uri=True, factory=Connection)


@contextmanager
def _decoded() -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        damaged = sqlite3.DatabaseError("malformed database schema")
        damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damaged from error


def failure(error: sqlite3.Error | OSError, path: Path) -> RequestError | None:
    """The error to show the user for a file or folder at `path`: Busy or StorageFailed. None for a bug of ours."""
    if isinstance(error, OSError):
        known = error.errno in _ERRNO
        return StorageFailed(f"{path.name} can't be used: {os_reason(error)}") if known else None
    code = _code(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy("another process is writing to the database", retry_after_ms=RETRY_AFTER_MS)
    reason = reason_of(error, path)
    return StorageFailed(f"{path.name} can't be used: {reason}; nothing was changed") if reason else None


def reason_of(error: sqlite3.Error, path: Path) -> str | None:
    """Why SQLite could not use the file at `path`, and what to do; None if storage is not the cause."""
    code = _code(error)
    return (_visible_fault(path) if code in _VAGUE else None) or _SQLITE.get(code)


def os_reason(error: OSError) -> str:
    """Why the operating system refused, and what to do."""
    return _ERRNO.get(error.errno or 0) or str(error.strerror or error)


def in_words(error: Exception, path: Path) -> str:
    """The message for the user of a command that works on the database at `path`."""
    if isinstance(error, OSError):
        return f"{error.filename or path}: {os_reason(error)}"
    reason = reason_of(error, path) if isinstance(error, sqlite3.Error) else None
    return f"{path.name} can't be used: {reason}" if reason else str(error)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Translates storage errors of `path` into Busy or StorageFailed; other errors pass through unchanged."""
    try:
        with database_errors(path):
            yield
    except OSError as error:
        refusal = failure(error, path)
        if refusal is None:
            raise
        raise refusal from error


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """As `storage_errors`, for SQLite's errors only."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        refusal = failure(error, path)
        if refusal is None:
            raise
        raise refusal from error


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part


def _visible_fault(path: Path) -> str | None:
    """What is wrong with the file at `path` or its folder; None if nothing is visibly wrong."""
    folder = path.parent
    try:
        if not folder.is_dir() or not path.exists():
            return _ERRNO[errno.ENOENT]
        system = os.statvfs(folder)
        os.close(os.open(os.devnull, os.O_RDONLY))  # never open the database itself: closing drops SQLite's locks
    except OSError as error:
        return _ERRNO.get(error.errno or 0)
    if system.f_flag & os.ST_RDONLY:
        return _READ_ONLY
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{_DENIED} (SQLite writes files beside the database, so the folder too must be writable)"
    if not os.access(path, os.R_OK | os.W_OK):
        return _DENIED
    if not system.f_bavail:
        return _FULL
    return _write_fault(path)


def _write_fault(path: Path) -> str | None:
    """The system's reason for refusing a trial write: SQLite can't tell a quota from a broken disk."""
    try:
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(bytes(_TRIAL_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return _ERRNO.get(error.errno or 0)
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    there = (path, path.with_name(path.name + "-wal"))
    largest = max((file.stat().st_size for file in there if file.exists()), default=0)
    return _ERRNO[errno.EFBIG] if limit != resource.RLIM_INFINITY and largest + _TRIAL_BYTES > limit else None
