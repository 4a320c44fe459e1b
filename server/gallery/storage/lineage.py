"""Decides which write-ahead log belongs to which database file.

SQLite replays whatever log lies beside a database. That recovers data after a crash, but if another file was put in the
database's place, it writes the old gallery over the new one. Neither file names the other. So each of our transactions
leaves a mark in the database: 16 random bytes of its own, and the previous transaction's mark. A log belongs to a file
if the file's mark is one of the log's marks, or the one that preceded the log's first transaction: the log then
continues from the file's state. docs/decisions/0045 gives the reasons.

The mark is stored as a row of the table `meta (key, value)`.
"""

from __future__ import annotations

import secrets
import sqlite3
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from facewire.server.storage import read_only

_KEY = "lineage"
_SIGN = b"\x00FWLOG\x00\x01"  # identifies a mark among the bytes of a page
_SIZE = 16
_NOTHING = bytes(_SIZE)  # the previous mark of a database's first transaction

_HEADER = 32  # of a log; https://www.sqlite.org/fileformat2.html#the_write_ahead_log
_FRAME_HEADER = 24
_MAGIC = (0x377F0682, 0x377F0683)

_LOOKS = 3
_PAUSE_S = 0.02
"""Another process may be writing while we read, so a mismatch counts only if three attempts find it. Rarely needed."""


def advance(connection: sqlite3.Connection, after: bytes | None = None) -> None:
    """Give the database a new mark, in the caller's transaction. `after`: the mark of the state it continues from; by
    default the current one."""
    found = mark(connection) if after is None else after
    marks = secrets.token_bytes(_SIZE) + (found or _NOTHING)
    value = _SIGN + marks + _sum_of(marks)
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (_KEY, value))


def mark(connection: sqlite3.Connection) -> bytes | None:
    """The mark of the newest transaction visible to the connection; None if the database is older than marks, or
    damaged."""
    value = _value(connection)
    return None if value is None or not _is_sound(value) else value[len(_SIGN) : len(_SIGN) + _SIZE]


def _value(connection: sqlite3.Connection) -> bytes | None:
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (_KEY,)).fetchone()
    return row[0] if row and isinstance(row[0], bytes) else None


def _is_sound(value: bytes) -> bool:
    """False if a power failure left half of one mark and half of another."""
    marks, kept = value[len(_SIGN) : len(_SIGN) + 2 * _SIZE], value[len(_SIGN) + 2 * _SIZE :]
    return value.startswith(_SIGN) and len(marks) == 2 * _SIZE and kept == _sum_of(marks)


def _sum_of(marks: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(marks))


def begin(connection: sqlite3.Connection) -> None:
    """Write the first mark to a database that has none, in the file itself. Outside any transaction."""
    if mark(connection) is not None:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if mark(connection) is None:  # another process may have done it before we got the lock
            advance(connection)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def log_of(path: Path) -> Path:
    """The path of the write-ahead log of the database at `path`; for a symbolic link, beside its target."""
    there = path.resolve()
    return there.with_name(there.name + "-wal")


def is_foreign(path: Path, *, unmarked: bool) -> bool:
    """Whether the log beside the database at `path` has committed changes that do not continue from the file's state.

    `unmarked`: also if the log has no mark at all but the file has. Such a log belongs to another database that is
    older than marks or, indistinguishably, was written to this database by another program.

    Writes nothing, and opens the database through SQLite only: closing it in any other way would drop this process's
    locks on it. Raises OSError.
    """
    for look in range(_LOOKS):
        if look:
            time.sleep(_PAUSE_S)
        if not _disagree(path, unmarked=unmarked):
            return False
    return True


def _disagree(path: Path, *, unmarked: bool) -> bool:
    known, own = _own_mark(path)
    if not known:
        return False
    marks = _marks_in(log_of(path))
    if marks is None:
        return False
    if own is None:  # older than marks: its log has none either, or starts with the very first
        return bool(marks) and all(found != _NOTHING for _, found in marks)
    if not marks:
        return unmarked
    return all(own not in pair for pair in marks)


def _own_mark(path: Path) -> tuple[bool, bytes | None]:
    """Whether the file is readable without its log, and its mark. A file torn by a crash is not: its log repairs it.

    A file that is not a database has no mark: no crash damages a header like that.
    """
    try:
        with closing(read_only(path.resolve())) as connection:
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()
            value = _value(connection) if tables else None
            return value is None or _is_sound(value), mark(connection) if tables else None
    except sqlite3.Error as error:
        return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_NOTADB, None


def _marks_in(log: Path) -> list[tuple[bytes, bytes]] | None:
    """(own, previous) mark pairs in the log's committed frames; None if nothing is committed in it.

    Read instead of mapped: the log may be truncated meanwhile, which crashes a process that has it mapped.
    """
    try:
        with log.open("rb") as file:
            return _committed_marks(file)
    except FileNotFoundError:
        return None


def _committed_marks(log: BinaryIO) -> list[tuple[bytes, bytes]] | None:
    header = log.read(_HEADER)
    if len(header) < _HEADER or struct.unpack_from(">I", header)[0] not in _MAGIC:
        return None
    (page_size,) = struct.unpack_from(">I", header, 8)
    size, salts = _FRAME_HEADER + page_size, header[16:24]
    marks, pending, committed = list[tuple[bytes, bytes]](), list[tuple[bytes, bytes]](), False
    # Frames with other salts are left over from before the log was restarted.
    while len(frame := log.read(size)) == size and frame[8:16] == salts:
        pending += _marks(frame)
        if frame[4:8] != bytes(4):  # the last frame of a transaction
            marks += pending
            pending, committed = [], True
    return marks if committed else None


def _marks(page: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = page.find(_SIGN)
    while at >= 0:
        own = at + len(_SIGN)
        yield page[own : own + _SIZE], page[own + _SIZE : own + 2 * _SIZE]
        at = page.find(_SIGN, own)
