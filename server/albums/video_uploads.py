"""Large videos, which are sent in pieces: checked before they are sent, added once they are complete."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from facewire.protocol.albums.adding import AlbumAdded, AlbumAddVideo, AlbumVideoTaken
from facewire.protocol.formats import HEAD_BYTES, UNSUPPORTED_VIDEO, video_format_of
from facewire.server.albums import additions, catalogue
from facewire.server.albums.additions import Addition
from facewire.server.albums.database import Database
from facewire.server.albums.intake import Intake
from facewire.server.albums.originals import Originals, blocks_of
from facewire.server.albums.settings import AlbumLimits
from facewire.server.albums.times import file_time
from facewire.server.albums.uploads import Uploads
from facewire.server.albums.zips import Entry
from facewire.server.errors import InvalidImage, VideosNotRead
from facewire.server.jobs import Job
from facewire.server.vision.decoding.films import MISSING, videos_are_read


class VideoUploads:
    """Only one thread calls `run`; the rest is thread-safe."""

    def __init__(
        self, root: Path, db: Database, uploads: Uploads, originals: Originals, intake: Intake, limits: AlbumLimits
    ) -> None:
        self._root = root
        self._db = db
        self._uploads = uploads
        self._originals = originals
        self._intake = intake
        self._limits = limits

    def take_piece(self, album: int, message: AlbumAddVideo) -> AlbumVideoTaken:
        """Writes a piece of a video. If it has been added already, the answer includes the result.

        Raises BadRequest, OverLimit, InvalidImage, and OSError if there is no room for the rest.
        """
        known = self._known(album, message.upload)
        if known is not None:
            return known
        if not message.upload:
            self._check_beginning(album, message)
        return AlbumVideoTaken(*self._uploads.take(album, "video", message.upload, message.offset, message.data))

    def arrived(self, album: int, message: AlbumAddVideo, token: str) -> Addition:
        """Marks a video as complete. It will be added even if this process dies. Raises BadRequest."""
        time = file_time(message.modified)
        return self._uploads.complete(album, "video", token, name=message.name, modified=time)

    def run(self, addition: Addition, job: Job) -> AlbumVideoTaken:
        """Adds a complete one. Raises as Intake does, and BadRequest."""
        known = self._known(addition.album, addition.source)
        if known is not None:  # just before it was asked for once more
            return known
        self._intake.refuse_poison(addition, "")
        path = self._uploads.path(addition.album, "video", addition.source)
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            # It stays among the uploads, so that it can be added after a crash, until its row is committed.
            written = self._originals.share(path, _counted(blocks_of(file.fileno()), job, size))

        def note(db: sqlite3.Connection, added: AlbumAdded) -> None:
            job.joinable = False  # requests from here on are answered with the result
            additions.finish_video(db, addition, AlbumVideoTaken(addition.source, size, added))

        try:
            entry = Entry(addition.name, None, modified=addition.modified)
            added = self._intake.add(addition, "", entry, written, note, job)
        finally:
            written.path.unlink(missing_ok=True)
        self._uploads.sweep()
        return AlbumVideoTaken(addition.source, size, added)

    def _known(self, album: int, token: str) -> AlbumVideoTaken | None:
        with self._db.reading() as db:
            return additions.finished_video(db, album, token)

    def _check_beginning(self, album: int, message: AlbumAddVideo) -> None:
        """What can be refused before gigabytes are sent."""
        if reason := self._limits.against_video(message.size):
            raise InvalidImage(reason)
        if len(message.data) >= min(HEAD_BYTES, message.size) and video_format_of(message.data[:HEAD_BYTES]) is None:
            raise InvalidImage(UNSUPPORTED_VIDEO)
        if not videos_are_read():
            raise VideosNotRead(MISSING)
        with self._db.reading() as db:
            catalogue.must_exist(db, album)
            catalogue.check_quota(db, album, message.size, self._limits)
        if message.size > shutil.disk_usage(self._root).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _counted(blocks: Iterable[bytes], job: Job, size: int) -> Iterator[bytes]:
    """The same blocks, reported as progress in bytes. Raises Stopped."""
    done = 0
    for block in blocks:
        job.at("unpacking", done, size)
        done += len(block)
        yield block
