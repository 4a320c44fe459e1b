"""ZIP files on their way up, piece by piece, in files of their own; they outlive a lost connection and a restart."""

from __future__ import annotations

import re
import secrets
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from server.albums import catalogue
from server.albums.database import Database, now
from server.albums.limits import AlbumLimits
from server.errors import BadRequest, OverLimit

_TOKEN = re.compile(r"[0-9a-f]{32}")
_FORGOTTEN_AFTER = timedelta(days=1)  # without its last piece nobody is coming back for it


class Uploads:
    """Thread-safe."""

    def __init__(self, root: Path, db: Database, limits: AlbumLimits) -> None:
        self._folder = root / "uploads"
        self._folder.mkdir(exist_ok=True)
        self._db = db
        self._limits = limits
        self._appending = threading.Lock()  # guards the files: a piece sent twice at once must not be written twice
        self._sweep()

    def take(self, album: int, token: str, offset: int, data: bytes) -> tuple[str, int]:
        """Writes a piece; the upload's token and how many bytes of it are here now.

        A piece that is here already is passed over. Raises BadRequest for a piece beyond the end, or of an upload that
        is not this album's; OverLimit.
        """
        token = token or self._begin(album)
        path = self.path(album, token)
        with self._appending, path.open("ab") as file:
            received = file.tell()
            if offset > received:
                raise BadRequest(f"{received} bytes of this upload have arrived: go on there, not at {offset}")
            fresh = data[received - offset :]
            if received + len(fresh) > self._limits.zip_bytes:
                raise OverLimit(f"a ZIP has {self._limits.zip_bytes} bytes at most")
            file.write(fresh)
            return token, received + len(fresh)

    def path(self, album: int, token: str) -> Path:
        """The file of an upload. Raises BadRequest for one that is unknown, or another album's."""
        with self._db.reading() as db:
            row = db.execute("SELECT 1 FROM uploads WHERE token = ? AND album_id = ?", (token, album)).fetchone()
        if row is None or not _TOKEN.fullmatch(token):
            raise BadRequest("there is no such upload to this album: begin again without 'upload'")
        return self._folder / token

    def end(self, token: str) -> None:
        """Forgets an upload: it was unpacked, or can't be."""
        with self._db.writing() as db:
            db.execute("DELETE FROM uploads WHERE token = ?", (token,))
        (self._folder / token).unlink(missing_ok=True)

    def _begin(self, album: int) -> str:
        self._sweep()
        token = secrets.token_hex(16)
        with self._db.writing() as db:
            catalogue.must_exist(db, album)
            (count,) = db.execute("SELECT count(*) FROM uploads").fetchone()
            if count >= self._limits.uploads:
                raise OverLimit(f"{count} ZIPs are on their way already: wait until one has arrived")
            db.execute("INSERT INTO uploads VALUES (?, ?, ?)", (token, album, now()))
        return token

    def _sweep(self) -> None:
        """Forgets uploads that were given up, and files of albums that are gone."""
        oldest = (datetime.now(UTC) - _FORGOTTEN_AFTER).isoformat(timespec="seconds")
        with self._db.writing() as db:
            db.execute("DELETE FROM uploads WHERE created < ?", (oldest,))
            known = {row[0] for row in db.execute("SELECT token FROM uploads")}
        with self._appending:
            for path in self._folder.iterdir():
                if path.name not in known:
                    path.unlink()
