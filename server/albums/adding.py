"""Adding many photos at once: uploaded ZIPs, and folders on the server's disk. Large videos are added in turn with them
(video_uploads.py).

All are jobs that survive a restart: the request and its progress are recorded on disk (additions.py).
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from facewire.protocol.albums.adding import (
    AlbumAdded,
    AlbumAddZip,
    AlbumFolders,
    AlbumFoldersListed,
    AlbumIngested,
    AlbumVideoTaken,
    AlbumZipTaken,
)
from facewire.protocol.clutter import LeftOut, files_below
from facewire.protocol.formats import FILM_OF_STILL, films_of_stills
from facewire.server.albums import additions, catalogue
from facewire.server.albums.additions import Addition, Tally
from facewire.server.albums.database import Database
from facewire.server.albums.folders import folder_below, listing, modified, order, read_file, sidecars_beside
from facewire.server.albums.ingest import Ingest
from facewire.server.albums.intake import Intake
from facewire.server.albums.originals import Originals
from facewire.server.albums.packets import is_sidecar
from facewire.server.albums.settings import AlbumLimits
from facewire.server.albums.uploads import Uploads
from facewire.server.albums.video_uploads import VideoUploads
from facewire.server.albums.zips import Entry, PhotoZip
from facewire.server.errors import Busy, InvalidImage, StorageFailed
from facewire.server.jobs import Job, Stopped

_log = logging.getLogger("facewire.albums")

_LATER = (Stopped, Busy, StorageFailed, OSError, sqlite3.Error)
"""The server stops or its disk fails. These don't end an addition, which resumes at the next start."""


class Adding:
    """Only one thread calls `run`; the rest is thread-safe."""

    def __init__(
        self,
        root: Path,
        import_root: Path | None,
        db: Database,
        originals: Originals,
        ingest: Ingest,
        limits: AlbumLimits,
    ) -> None:
        self._import_root = import_root
        self._db = db
        self._limits = limits
        self._uploads = Uploads(root, db, limits)
        self._intake = Intake(originals, ingest, root)
        self.videos = VideoUploads(root, db, self._uploads, originals, self._intake, limits)

    def take_piece(self, album: int, message: AlbumAddZip) -> AlbumZipTaken:
        """Writes a piece of a ZIP. If its photos have all been added already, the answer includes the result.

        Raises BadRequest, OverLimit.
        """
        with self._db.reading() as db:
            ingested = additions.finished(db, album, message.upload, self._limits.skipped_listed)
        if ingested is not None:
            return AlbumZipTaken(message.upload, message.offset + len(message.data), ingested)
        return AlbumZipTaken(*self._uploads.take(album, "zip", message.upload, message.offset, message.data))

    def zip_arrived(self, album: int, token: str, *, metadata: bool) -> Addition:
        """Marks a ZIP as complete. Its photos will be added even if this process dies. Raises BadRequest."""
        return self._uploads.complete(album, "zip", token, metadata=metadata)

    def folder_asked(self, album: int, wanted: str, *, metadata: bool) -> Addition:
        """Records a folder to import. Its photos will be added even if this process dies. Raises BadRequest, Busy,
        UnknownAlbum."""
        folder = folder_below(self._import_root, wanted)
        assert self._import_root is not None  # or the folder would not be below it
        source = folder.relative_to(self._import_root.resolve()).as_posix()
        with self._db.writing() as db:
            catalogue.must_exist(db, album)
            addition = additions.begin(db, album, "folder", source, metadata=metadata)
            if sum(other.kind == "folder" for other in additions.under_way(db)) > self._limits.imports:
                raise Busy("too many folders are already waiting to be imported", retry_after_ms=5000)
        return addition

    def asked(self) -> list[Addition]:
        """Unfinished jobs of earlier servers."""
        with self._db.reading() as db:
            return additions.under_way(db)

    def folders(self, message: AlbumFolders) -> AlbumFoldersListed:
        """The folders that can be imported. Raises BadRequest."""
        return listing(self._import_root, message.folder)

    def forget_gone(self) -> None:
        """Removes the uploads of albums that have been deleted."""
        self._uploads.sweep()

    def run(self, addition: Addition, job: Job) -> AlbumIngested | AlbumZipTaken | AlbumVideoTaken:
        """Adds the remaining files. Raises BadRequest, OverLimit and UnknownAlbum, which end the job, and Stopped."""
        try:
            with self._db.writing() as db:
                catalogue.must_exist(db, addition.album)
                # Again, in case the same addition finished just after it was requested once more.
                of = addition
                addition = additions.begin(
                    db, of.album, of.kind, of.source, metadata=of.metadata, name=of.name, modified=of.modified
                )
                reached, tally = additions.load(db, addition, self._limits.skipped_listed)
            if addition.kind == "video":
                return self.videos.run(addition, job)
            add = self._add_zip if addition.kind == "zip" else self._add_folder
            return add(addition, reached, tally, job)
        except _LATER:
            raise
        except Exception as error:
            _log.warning("%s %s: the rest is not added: %s", addition.kind, addition.source, error)
            job.joinable = False
            with self._db.writing() as db:
                additions.forget(db, addition)
            self._uploads.sweep()
            raise

    def _add_zip(self, addition: Addition, reached: str, tally: Tally, job: Job) -> AlbumZipTaken:
        path = self._uploads.path(addition.album, "zip", addition.source)
        size = path.stat().st_size
        start = int(reached) + 1 if reached else 0
        with PhotoZip(path, self._limits) as file:
            tally.left_out = file.left_out.total
            for number, entry in enumerate(file.photos(start), start):
                job.at("unpacking", number, len(file.entries), added=tally.added)
                if not (addition.metadata and is_sidecar(entry.name)):
                    beside = file.sidecars(entry.name) if addition.metadata and entry.data else None
                    self._take(addition, str(number), entry, tally, job, beside)
        self._finish(addition, tally, job)
        return AlbumZipTaken(addition.source, size, tally.ingested())

    def _add_folder(self, addition: Addition, reached: str, tally: Tally, job: Job) -> AlbumIngested:
        folder = folder_below(self._import_root, addition.source)
        assert self._import_root is not None  # or the folder would not be below it
        root = self._import_root.resolve()
        left_out = LeftOut()
        names = [path.relative_to(root).as_posix() for path in files_below(folder, left_out)]
        tally.left_out = left_out.total
        films = films_of_stills(names)
        if addition.metadata:
            names = [name for name in names if not is_sidecar(name)]
        left = [name for name in names if not reached or order(name) > order(json.loads(reached))]
        for number, name in enumerate(left, len(names) - len(left)):
            job.at("unpacking", number, len(names), added=tally.added)
            data = FILM_OF_STILL if name in films else read_file(root / name, self._limits)
            if isinstance(data, str):
                entry = Entry(name, None, data)
            elif isinstance(data, bytes):
                entry = Entry(name, data, modified=modified(root / name))
            else:
                entry = Entry(name, None, modified=modified(root / name), film=data)
            beside = sidecars_beside(root / name) if addition.metadata and entry.data else None
            # JSON, as it can hold names that are not UTF-8
            self._take(addition, json.dumps(name), entry, tally, job, beside)
        self._finish(addition, tally, job)
        return tally.ingested()

    def _finish(self, addition: Addition, tally: Tally, job: Job) -> None:
        job.joinable = False  # requests from here on get a new job
        with self._db.writing() as db:
            catalogue.must_exist(db, addition.album)
            additions.save(db, addition, "", tally)  # files skipped since the last photo
            additions.finish(db, addition)
        self._intake.forgive()
        self._uploads.sweep()

    def _take(
        self,
        addition: Addition,
        place: str,
        entry: Entry,
        tally: Tally,
        job: Job,
        sidecars: Sequence[bytes] | None,
    ) -> None:
        """Adds one file, and records in the same transaction that it is done. `sidecars`: as `Ingest.add` takes
        them."""

        def note(db: sqlite3.Connection, added: AlbumAdded) -> None:
            tally.count(duplicate=added.duplicate)
            additions.save(db, addition, place, tally)

        if entry.data is None and entry.film is None:
            tally.skip(entry.name, entry.reason)
            return
        try:
            self._intake.take(addition, place, entry, note, job, sidecars)
        except InvalidImage as error:
            tally.skip(entry.name, str(error))
