"""ZIPs and videos being uploaded piece by piece. Uploads survive a lost connection and a restart.

A complete upload is kept until it is added; an abandoned one is deleted.
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

from facewire.protocol.settings import MEBIBYTE
from facewire.server.albums import additions, catalogue
from facewire.server.albums.additions import Addition, Uploaded
from facewire.server.albums.database import OWNER_ONLY, Database
from facewire.server.albums.settings import AlbumLimits
from facewire.server.errors import BadRequest, OverLimit
from facewire.server.gallery.storage.connection import now

_TOKEN = re.compile(r"[0-9a-f]{32}")
_FLUSHED_EVERY = 64 * MEBIBYTE  # so that the last piece doesn't wait until gigabytes are on the disk
_FORGOTTEN_AFTER_S = 3600.0  # without a new piece: longer than a client needs to reconnect


class Uploads:
    """Thread-safe."""

    def __init__(self, root: Path, db: Database, limits: AlbumLimits) -> None:
        self._folder = root / "uploads"
        self._folder.mkdir(exist_ok=True, mode=OWNER_ONLY)
        self._db = db
        self._limits = limits
        self._most = {"zip": (limits.zip_bytes, "ZIP"), "video": (limits.video_bytes, "video")}
        # Guards the files: a piece sent twice concurrently is written once, and a file without a row yet is not swept.
        self._files = threading.Lock()
        self.sweep()

    def take(self, album: int, kind: Uploaded, token: str, offset: int, data: bytes) -> tuple[str, int]:
        """Writes a piece. Returns the upload's token and how many bytes have arrived.

        A piece that has already arrived is ignored. Raises BadRequest for a piece that leaves a gap or for another
        album's upload; OverLimit.
        """
        with self._files:
            token = token or self._begin(album, kind)
            path, complete = self._known(album, kind, token)
            with path.open("ab", buffering=0) as file:
                received = file.tell()
                if offset > received:
                    raise BadRequest(
                        f"{received} bytes of this upload have arrived: continue from there, not from {offset}"
                    )
                fresh = data[received - offset :]
                if fresh and complete:
                    raise BadRequest("this upload is already complete")
                most, what = self._most[kind]
                if received + len(fresh) > most:
                    raise OverLimit(f"a {what} has {most} bytes at most")
                _append(file, fresh, received)
                if (received + len(fresh)) // _FLUSHED_EVERY > received // _FLUSHED_EVERY:
                    os.fdatasync(file.fileno())
            return token, received + len(fresh)

    def complete(
        self, album: int, kind: Uploaded, token: str, *, metadata: bool = False, name: str = "", modified: str = ""
    ) -> Addition:
        """Marks an upload as complete; it is kept until it is added, as an Addition with these values. Raises
        BadRequest."""
        with self._files:
            path, _ = self._known(album, kind, token)
            with path.open("rb") as file:
                os.fsync(file.fileno())
            with self._db.writing() as db:
                catalogue.must_exist(db, album)
                return additions.begin(db, album, kind, token, metadata=metadata, name=name, modified=modified)

    def path(self, album: int, kind: Uploaded, token: str) -> Path:
        """The file of an upload. Raises BadRequest if it is unknown or another album's."""
        return self._known(album, kind, token)[0]

    def sweep(self) -> None:
        """Deletes finished and abandoned uploads, and files no longer needed."""
        with self._files:
            self._sweep()

    def _known(self, album: int, kind: Uploaded, token: str) -> tuple[Path, bool]:
        """An upload's file, and whether it is complete."""
        with self._db.reading() as db:
            row = db.execute(
                "SELECT a.id FROM uploads u LEFT JOIN additions a ON a.album_id = u.album_id AND a.source = u.token "
                "AND a.kind = u.kind WHERE u.token = ? AND u.album_id = ? AND u.kind = ?",
                (token, album, kind),
            ).fetchone()
        if row is None or not _TOKEN.fullmatch(token):
            raise BadRequest("there is no such upload to this album: start again without 'upload'")
        return self._folder / token, row["id"] is not None

    def _begin(self, album: int, kind: Uploaded) -> str:
        self._sweep()
        token = secrets.token_hex(16)
        with self._db.writing() as db:
            catalogue.must_exist(db, album)
            (count,) = db.execute("SELECT count(*) FROM uploads").fetchone()
            if count >= self._limits.uploads:
                raise OverLimit(f"{count} files are already being uploaded: wait until one has been added")
            db.execute("INSERT INTO uploads VALUES (?, ?, ?, ?)", (token, album, now(), kind))
        return token

    def _sweep(self) -> None:
        """`sweep` with the files' lock held."""
        with self._db.writing() as db:
            additions.forget_old(db)
            rows = db.execute(
                "SELECT token, created FROM uploads u WHERE NOT EXISTS "
                "(SELECT 1 FROM additions a WHERE a.kind = u.kind AND a.source = u.token)"
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
