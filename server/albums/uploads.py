"""ZIP files being uploaded piece by piece. Uploads survive a lost connection and a restart.

A complete upload is kept until its photos are added; an abandoned one is deleted.
"""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
import threading
import time
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from facewire.server.albums import additions, catalogue
from facewire.server.albums.additions import Addition
from facewire.server.albums.database import OWNER_ONLY, Database, now
from facewire.server.albums.limits import AlbumLimits
from facewire.server.errors import BadRequest, OverLimit

_TOKEN = re.compile(r"[0-9a-f]{32}")
_FORGOTTEN_AFTER_S = 3600.0  # without a new piece: longer than a client needs to reconnect


class Uploads:
    """Thread-safe."""

    def __init__(self, root: Path, db: Database, limits: AlbumLimits) -> None:
        self._folder = root / "uploads"
        self._folder.mkdir(exist_ok=True, mode=OWNER_ONLY)
        self._db = db
        self._limits = limits
        # Guards the files: a piece sent twice concurrently is written once, and a file without a row yet is not swept.
        self._files = threading.Lock()
        self.sweep()

    def take(self, album: int, token: str, offset: int, data: bytes) -> tuple[str, int]:
        """Writes a piece. Returns the upload's token and how many bytes have arrived.

        A piece that has already arrived is ignored. Raises BadRequest for a piece that leaves a gap or for another
        album's upload; OverLimit.
        """
        with self._files:
            token = token or self._begin(album)
            path, complete = self._known(album, token)
            with path.open("ab", buffering=0) as file:
                received = file.tell()
                if offset > received:
                    raise BadRequest(f"{received} bytes of this upload have arrived: go on there, not at {offset}")
                fresh = data[received - offset :]
                if fresh and complete:
                    raise BadRequest("the last piece of this upload has arrived already")
                if received + len(fresh) > self._limits.zip_bytes:
                    raise OverLimit(f"a ZIP has {self._limits.zip_bytes} bytes at most")
                _append(file, fresh, received)
            return token, received + len(fresh)

    def complete(self, album: int, token: str) -> Addition:
        """Marks an upload as complete; it is kept until its photos are added. Raises BadRequest."""
        with self._files:
            path, _ = self._known(album, token)
            with path.open("rb") as file:
                os.fsync(file.fileno())
            with self._db.writing() as db:
                catalogue.must_exist(db, album)
                return additions.begin(db, album, "zip", token)

    def path(self, album: int, token: str) -> Path:
        """The file of an upload. Raises BadRequest if it is unknown or another album's."""
        return self._known(album, token)[0]

    def sweep(self) -> None:
        """Deletes finished and abandoned uploads, and files no longer needed."""
        with self._files:
            self._sweep()

    def _known(self, album: int, token: str) -> tuple[Path, bool]:
        """An upload's file, and whether it is complete."""
        with self._db.reading() as db:
            row = db.execute(
                "SELECT a.id FROM uploads u LEFT JOIN additions a ON a.album_id = u.album_id AND a.source = u.token "
                "AND a.kind = 'zip' WHERE u.token = ? AND u.album_id = ?",
                (token, album),
            ).fetchone()
        if row is None or not _TOKEN.fullmatch(token):
            raise BadRequest("there is no such upload to this album: begin again without 'upload'")
        return self._folder / token, row["id"] is not None

    def _begin(self, album: int) -> str:
        self._sweep()
        token = secrets.token_hex(16)
        with self._db.writing() as db:
            catalogue.must_exist(db, album)
            (count,) = db.execute("SELECT count(*) FROM uploads").fetchone()
            if count >= self._limits.uploads:
                raise OverLimit(f"{count} ZIPs are on their way already: wait until one has been added")
            db.execute("INSERT INTO uploads VALUES (?, ?, ?)", (token, album, now()))
        return token

    def _sweep(self) -> None:
        """`sweep` with the files' lock held."""
        with self._db.writing() as db:
            additions.forget_old(db)
            rows = db.execute(
                "SELECT token, created FROM uploads u WHERE NOT EXISTS "
                "(SELECT 1 FROM additions a WHERE a.kind = 'zip' AND a.source = u.token)"
            ).fetchall()
            db.executemany("DELETE FROM uploads WHERE token = ?", [(r["token"],) for r in rows if self._given_up(r)])
            known = {row[0] for row in db.execute("SELECT token FROM uploads")}
        for path in self._folder.iterdir():
            if path.name not in known:
                path.unlink()

    def _given_up(self, row: sqlite3.Row) -> bool:
        path = self._folder / row["token"]
        begun = datetime.fromisoformat(row["created"]).astimezone(UTC).timestamp()
        last = path.stat().st_mtime if path.exists() else begun
        return time.time() - last > _FORGOTTEN_AFTER_S


def _append(file: FileIO, data: bytes, size: int) -> None:
    """Appends all of `data` or nothing to a file of `size` bytes. Raises OSError."""
    left = memoryview(data)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError:
        file.truncate(size)
        raise
