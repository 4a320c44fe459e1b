"""Exports: ZIPs that are never written. Their layout is stored, and pieces are computed on request.

So a ZIP takes no memory, no thread waits for a slow client, and a download can resume after a lost connection or a
restart (export_reader.py). Labels and sidecars are stored in one file per export.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from facewire.protocol.albums.export import AlbumExport, AlbumExported, AlbumExportPiece, AlbumExportRead
from facewire.protocol.albums.looking import AlbumFaceEntry
from facewire.protocol.albums.search import Together
from facewire.server.albums import catalogue, faces
from facewire.server.albums.copies import Copy, copy_with
from facewire.server.albums.database import OWNER_ONLY, Database
from facewire.server.albums.export_reader import ExportReader
from facewire.server.albums.headers import Headers
from facewire.server.albums.names import FileNames
from facewire.server.albums.originals import Originals
from facewire.server.albums.search import Search
from facewire.server.albums.settings import AlbumLimits
from facewire.server.albums.sidecars import ExportedPhoto, LabelsFile, as_json, as_xmp
from facewire.server.albums.zip_layout import Stored, end_records
from facewire.server.errors import BadRequest
from facewire.server.gallery.storage.connection import now
from facewire.server.vision.image import UPRIGHT

_KEPT_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the ZIP and where its bytes come from: an original's sha256, or an offset in the export's own file; or
    both: `own_size` bytes from there, and then the original without as many as `skipped`."""

    stored: Stored
    sha256: str | None
    own_at: int | None
    own_size: int = 0
    skipped: int = 0


class Exports:
    """Prepares and reads exports. Thread-safe."""

    def __init__(
        self, root: Path, db: Database, originals: Originals, search: Search, headers: Headers, limits: AlbumLimits
    ) -> None:
        self._search = search
        self._headers = headers
        self._folder = root / "exports"
        self._folder.mkdir(exist_ok=True, mode=OWNER_ONLY)
        self._db = db
        self._originals = originals
        self._limits = limits
        self._sweep(keep=limits.exports)

    def export(self, album: int, message: AlbumExport) -> AlbumExported:
        """Prepares a ZIP. Raises as `Search.search` does, and for people and photos not in the album."""
        search = self._search
        probes = search.probes(message.wanted) if message.wanted else []

        def choose(db: sqlite3.Connection) -> Iterable[int]:
            if not (message.since or message.until):
                return selected(db)
            days = catalogue.photos_of_days(db, album, message.since, message.until)
            return [photo for photo in selected(db) if photo in days]

        def selected(db: sqlite3.Connection) -> Iterable[int]:
            if message.wanted:
                return search.photos(db, album, message, probes)
            if message.people:
                return _with_people(db, album, message.people, message.together)
            if message.photos:
                return dict.fromkeys(message.photos)
            query = "SELECT id FROM photos WHERE album_id = ? ORDER BY name, id"
            return [row[0] for row in db.execute(query, (album,))]

        with self._db.reading() as db:
            names = [faces.person_row(db, album, person)["name"] for person in message.people]
            parts = [_album_name(db, album), *(name for name in names if name)]
        name = FileNames().take(f"{' - '.join(parts)}.zip")
        return self.prepare(album, name, choose, sidecars=message.sidecars, embedded=message.embedded)

    def prepare(
        self,
        album: int,
        name: str,
        choose: Callable[[sqlite3.Connection], Iterable[int]],
        *,
        sidecars: bool,
        embedded: bool = False,
    ) -> AlbumExported:
        """Prepares a ZIP called `name` of the photos that `choose` returns. Raises whatever `choose` raises."""
        self._sweep(keep=self._limits.exports - 1)
        token = secrets.token_hex(16)
        if sidecars:
            with self._db.reading() as reader:
                chosen = list(choose(reader))
            self._headers.complete(chosen)
        with self._db.reading() as reader, (self._folder / token).open("xb") as own:
            layout = _Layout(own, self._originals if embedded else None)
            exported = _photos(reader, album, choose(reader))
            files = layout.with_labels(reader, album, exported) if sidecars else layout.originals(exported)
            rows: Iterable[tuple[object, ...]] = (
                (n, *_row(file), central_at, file.own_size, file.skipped)
                for n, file, central_at in layout.numbered(files)
            )
            if embedded:  # some milliseconds a photo, in which others may write
                rows = list(rows)
            with self._db.writing() as db:
                catalogue.must_exist(db, album)
                export = db.execute(
                    "INSERT INTO exports (token, album_id, name, created, files, directory_at, directory_size) "
                    "VALUES (?, ?, ?, ?, 0, 0, 0)",
                    (token, album, name, now()),
                ).lastrowid
                db.executemany(
                    "INSERT INTO export_files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    ((export, *row) for row in rows),
                )
                own.flush()
                db.execute(
                    "UPDATE exports SET files = ?, directory_at = ?, directory_size = ? WHERE id = ?",
                    (layout.files, layout.at, layout.directory_size, export),
                )
        size = layout.at + layout.directory_size + len(end_records(layout.files, layout.at, layout.directory_size))
        return AlbumExported(token, name, size, layout.files, layout.embedded, layout.beside)

    def read(self, message: AlbumExportRead) -> AlbumExportPiece:
        """A piece of the ZIP and the total size. Raises BadRequest for an unknown export."""
        with self._db.reading() as db:
            row = db.execute("SELECT * FROM exports WHERE token = ?", (message.export,)).fetchone()
            if row is None:
                raise BadRequest("there is no such export, or it has expired (they are kept for a day): make another")
            reader = ExportReader(db, row, self._originals, self._folder / message.export)
            try:
                return AlbumExportPiece(b"".join(reader.pieces(message.offset, message.size)), reader.size)
            except (OSError, EOFError) as error:
                raise BadRequest("some of the export's photos are gone: make another") from error

    def _sweep(self, keep: int) -> None:
        """Deletes exports older than a day, the oldest of too many, and files that belong to none."""
        oldest = (datetime.now(UTC) - _KEPT_FOR).isoformat(timespec="seconds")
        with self._db.writing() as db:
            db.execute("DELETE FROM exports WHERE created < ?", (oldest,))
            db.execute("DELETE FROM exports WHERE id NOT IN (SELECT id FROM exports ORDER BY id DESC LIMIT ?)", (keep,))
            known = {row[0] for row in db.execute("SELECT token FROM exports")}
        for path in self._folder.iterdir():
            # An export being prepared is not recorded yet; none takes an hour to prepare.
            if path.name not in known and path.stat().st_mtime < datetime.now(UTC).timestamp() - 3600:
                path.unlink(missing_ok=True)


class _Layout:
    """Lays files out one after the other. `at`: offset of the next file, and finally of the central directory;
    `embedded`, `beside`: the photos whose names are in them, and in a file beside them."""

    def __init__(self, own: BinaryIO, embedding: Originals | None) -> None:
        """`embedding`: write names into copies of these, where their format takes them."""
        self._embedding = embedding
        self.embedded = self.beside = 0
        self.at = 0
        self.files = 0
        self.directory_size = 0
        self._own = own
        self._names = FileNames()
        self._stamp = datetime.now(UTC).replace(tzinfo=None)

    def originals(self, photos: Iterable[tuple[ExportedPhoto, sqlite3.Row]]) -> Iterator[_File]:
        """The photos only."""
        for photo, row in photos:
            yield self._original(self._names.take(photo.path, row["format"]), row)

    def with_labels(
        self, db: sqlite3.Connection, album: int, photos: Iterable[tuple[ExportedPhoto, sqlite3.Row]]
    ) -> Iterator[_File]:
        """Every photo, with an XMP file if it has names, and labels.json at the end."""
        labels_path = self._names.take("labels.json")
        with tempfile.TemporaryFile() as file:
            labels = LabelsFile(file)
            for photo, row in photos:
                named = replace(photo, path=self._names.take(photo.path, row["format"]))
                xmp = as_xmp(named) if named.people else None
                copy = None if xmp is None else self._copy(row, xmp)
                self.embedded += copy is not None
                self.beside += xmp is not None and copy is None
                labels.add(as_json(named, "embedded" if copy else "sidecar" if xmp else None))
                if copy is not None:
                    yield self._copied(named.path, row, copy)
                    self._own.write(copy.head)
                    continue
                yield self._original(named.path, row)
                if xmp is not None:
                    yield self._own_file(self._names.take(f"{named.path}.xmp"), len(xmp), zlib.crc32(xmp))
                    self._own.write(xmp)
            head: dict[str, object] = {
                "album": _album_name(db, album),
                "exported": now(),
                "people": _named_people(db, album),
            }
            size, crc32 = labels.end(head)
            yield self._own_file(labels_path, size, crc32)
            file.seek(0)
            shutil.copyfileobj(file, self._own)

    def numbered(self, files: Iterable[_File]) -> Iterator[tuple[int, _File, int]]:
        """Each file with its number and the offset of its entry within the central directory."""
        for file in files:
            yield self.files, file, self.directory_size
            self.files += 1
            self.directory_size += file.stored.central_size

    def _original(self, path: str, row: sqlite3.Row) -> _File:
        return self._place(Stored(path, row["size"], row["crc32"], _added(row), self.at), row["sha256"], None)

    def _copy(self, row: sqlite3.Row, xmp: bytes) -> Copy | None:
        """The photo with its names in it; None where that isn't wanted, or can't be done. Raises BadRequest."""
        if self._embedding is None:
            return None
        try:
            return copy_with(self._embedding.path(row["sha256"]), row["size"], row["crc32"], xmp)
        except FileNotFoundError as error:
            raise BadRequest("some of the photos are gone: try again") from error

    def _copied(self, path: str, row: sqlite3.Row, copy: Copy) -> _File:
        """A copy, whose head the caller appends to the export's own file next."""
        stored = Stored(path, copy.size, copy.crc32, _added(row), self.at)
        return replace(
            self._place(stored, row["sha256"], self._own.tell()), own_size=len(copy.head), skipped=copy.skipped
        )

    def _own_file(self, path: str, size: int, crc32: int) -> _File:
        """A file whose bytes the caller appends to the export's own file next."""
        return self._place(Stored(path, size, crc32, self._stamp, self.at), None, self._own.tell())

    def _place(self, stored: Stored, sha256: str | None, own_at: int | None) -> _File:
        self.at = stored.end
        return _File(stored, sha256, own_at)


def _added(row: sqlite3.Row) -> datetime:
    return datetime.fromisoformat(row["added"]).replace(tzinfo=None)


def _with_people(db: sqlite3.Connection, album: int, people: Sequence[int], together: Together) -> list[int]:
    """The photos that show any, or all, of these people, by name."""
    wanted = [faces.person_row(db, album, person)["id"] for person in dict.fromkeys(people)]
    marks = ", ".join("?" * len(wanted))
    rows = db.execute(
        "SELECT p.id FROM photos p JOIN faces f ON f.photo_id = p.id "
        f"WHERE p.album_id = ? AND f.person_id IN ({marks}) "
        "GROUP BY p.id HAVING count(DISTINCT f.person_id) >= ? ORDER BY p.name, p.id",
        (album, *wanted, len(wanted) if together == "all" else 1),
    )
    return [row[0] for row in rows]


def _photos(db: sqlite3.Connection, album: int, numbers: Iterable[int]) -> Iterator[tuple[ExportedPhoto, sqlite3.Row]]:
    for number in numbers:
        row = db.execute(
            f"SELECT {catalogue.PHOTO_COLUMNS}, b.format, b.crc32, b.orientation, p.added "
            "FROM photos p JOIN blobs b USING (sha256) WHERE p.album_id = ? AND p.id = ?",
            (album, number),
        ).fetchone()
        if row is None:
            raise BadRequest(f"the album has no photo {number}")
        others = db.execute("SELECT name FROM photo_names WHERE photo_id = ? ORDER BY name", (number,))
        names = tuple(chain((row["name"],), (other[0] for other in others)))
        orientation = row["orientation"] or UPRIGHT  # of a photo that was added this very moment, by an older server
        yield ExportedPhoto(row["name"], catalogue.photo_entry(row), names, _faces(db, number), orientation), row


def _faces(db: sqlite3.Connection, photo: int) -> tuple[AlbumFaceEntry, ...]:
    rows = db.execute(f"SELECT {faces.FACE_COLUMNS} FROM {faces.FACE_TABLES} WHERE p.id = ? ORDER BY f.id", (photo,))
    return tuple(faces.face_entry(row) for row in rows)


def _album_name(db: sqlite3.Connection, album: int) -> str:
    return str(db.execute("SELECT name FROM albums WHERE id = ?", (album,)).fetchone()[0])


def _named_people(db: sqlite3.Connection, album: int) -> list[dict[str, object]]:
    rows = db.execute(
        "SELECT id, name, hidden FROM people WHERE album_id = ? AND name IS NOT NULL ORDER BY name", (album,)
    )
    return [{"person": row["id"], "name": row["name"], "hidden": bool(row["hidden"])} for row in rows]


def _row(file: _File) -> tuple[object, ...]:
    stored = file.stored
    stamp = stored.stamp.isoformat(timespec="seconds")
    return stored.path, file.sha256, file.own_at, stored.size, stored.crc32, stamp, stored.at
