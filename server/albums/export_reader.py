"""The bytes of a prepared export, piece by piece, from its layout in the database, the originals and its own file."""

from __future__ import annotations

import bisect
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from facewire.server.albums.originals import Originals
from facewire.server.albums.zip_layout import Stored, end_records


class ExportReader:
    """Computes the bytes of one export."""

    def __init__(self, db: sqlite3.Connection, row: sqlite3.Row, originals: Originals, own: Path) -> None:
        self._db = db
        self._id, self._files = row["id"], row["files"]
        self._directory_at, self._directory_size = row["directory_at"], row["directory_size"]
        self._end = end_records(self._files, self._directory_at, self._directory_size)
        self._originals = originals
        self._own = own
        self.size = self._directory_at + self._directory_size + len(self._end)

    def pieces(self, offset: int, size: int) -> Iterator[bytes]:
        """Up to `size` bytes from `offset` on. Raises OSError, EOFError."""
        until = min(offset + size, self.size)
        end_at = self._directory_at + self._directory_size
        number = self._number_at("at", offset) if offset < self._directory_at else 0
        while offset < min(until, self._directory_at):
            piece = self._of_file(self._file(number), offset, until)
            yield piece
            offset += len(piece)
            number += 1
        number = self._number_at("central_at", offset - self._directory_at) if offset < min(until, end_at) else 0
        while offset < min(until, end_at):
            file = self._file(number)
            header = _stored(file).central_header()
            within = offset - self._directory_at - file["central_at"]
            piece = header[within : within + until - offset]
            yield piece
            offset += len(piece)
            number += 1
        if offset < until:
            yield self._end[offset - end_at : until - end_at]

    def _of_file(self, row: sqlite3.Row, offset: int, until: int) -> bytes:
        """The bytes of one file, header included, as far as they lie between `offset` and `until`."""
        file = _stored(row)
        header = file.local_header()[offset - file.at : until - file.at] if offset < file.data_at else b""
        start = max(offset, file.data_at) - file.data_at
        count = min(until, file.end) - file.data_at - start
        if count <= 0:
            return header
        own_size = file.size if row["sha256"] is None else row["own_size"]
        ours = max(0, min(count, own_size - start))
        data = _read(self._own, row["own_at"] + start, ours) if ours else b""
        if count > ours:
            at = row["skipped"] + start + ours - own_size
            data += _read(self._originals.path(row["sha256"]), at, count - ours)
        return header + data

    def _number_at(self, column: str, offset: int) -> int:
        """The number of the last file whose `column` is at most `offset`."""
        return bisect.bisect_right(range(self._files), offset, key=lambda n: self._file(n)[column]) - 1

    def _file(self, number: int) -> sqlite3.Row:
        row: sqlite3.Row = self._db.execute(
            "SELECT * FROM export_files WHERE export_id = ? AND n = ?", (self._id, number)
        ).fetchone()
        return row


def _read(path: Path, at: int, count: int) -> bytes:
    with path.open("rb") as source:
        source.seek(at)
        data = source.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _stored(row: sqlite3.Row) -> Stored:
    return Stored(row["path"], row["size"], row["crc32"], datetime.fromisoformat(row["stamp"]), row["at"])
