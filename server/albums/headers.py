"""What is read from a photo's file once: for photos added before it was recorded, when it is needed."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from functools import partial

from facewire.server.albums.database import Database
from facewire.server.albums.originals import Originals
from facewire.server.albums.pictures import look_at_original
from facewire.server.albums.settings import AlbumLimits
from facewire.server.albums.times import when_taken
from facewire.server.errors import InvalidImage
from facewire.server.jobs import Job
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.image import Header

_log = logging.getLogger("facewire.albums")

_LACKING = (
    "SELECT p.id, p.name, p.sha256, b.format, b.width, b.height FROM photos p JOIN blobs b USING (sha256) "
    "WHERE (b.orientation IS NULL OR p.taken_from IS NULL)"
)
_PAGE = 256  # photos read at a time


class Headers:
    """Stateless and thread-safe."""

    def __init__(self, db: Database, originals: Originals, decoder: Decoder, limits: AlbumLimits) -> None:
        self._db = db
        self._originals = originals
        self._decoder = decoder
        self._limits = limits

    def lacking(self) -> bool:
        """Are there photos whose headers were not recorded?"""
        with self._db.reading() as db:
            return db.execute(f"{_LACKING} LIMIT 1").fetchone() is not None

    def complete(self, photos: Iterable[int]) -> None:
        """Records the orientation and the time of those of these photos that lack them. Raises Busy."""
        with self._db.reading() as db:
            lacking = [row for photo in photos for row in db.execute(f"{_LACKING} AND p.id = ?", (photo,))]
        for row in lacking:
            self._record(row)

    def complete_all(self, job: Job) -> None:
        """Does so for all photos, a few at a time. Raises Stopped; what is left is done after the next start."""
        done = 0
        while True:
            with self._db.reading() as db:
                page = db.execute(f"{_LACKING} LIMIT ?", (_PAGE,)).fetchall()
            if not page:
                return
            for row in page:
                job.at("headers", done, done + len(page))
                job.patiently(partial(self._record, row))
                done += 1

    def _record(self, row: sqlite3.Row) -> None:
        header = self._header(row)
        taken = when_taken(header.taken, row["name"], "")
        with self._db.writing() as db:
            db.execute("UPDATE blobs SET orientation = ? WHERE sha256 = ?", (header.recorded, row["sha256"]))
            db.execute(
                "UPDATE photos SET taken = ?, taken_from = ? WHERE id = ? AND taken_from IS NULL",
                (taken.at, taken.source or "", row["id"]),
            )

    def _header(self, row: sqlite3.Row) -> Header:
        try:
            with self._originals.opened(row["sha256"]) as file:
                return look_at_original(self._decoder, file, self._limits)[0]
        except (InvalidImage, FileNotFoundError) as error:
            _log.warning("an original can't be read any more: %s", error)
            return Header(row["format"], row["width"], row["height"])
