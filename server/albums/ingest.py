"""How a photo comes in: checked, written, and only then known. What was acknowledged is on disk."""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Callable

from protocol.album_messages import AlbumAdded
from server.albums import catalogue
from server.albums.catalogue import NewPhoto
from server.albums.database import Database
from server.albums.limits import AlbumLimits
from server.albums.names import photo_name
from server.albums.originals import Originals
from server.albums.pictures import look_at
from server.vision.decoding.decoder import Decoder

AlsoWrite = Callable[[sqlite3.Connection, bool], None]
"""Writes more in the transaction that adds a photo; told whether it was there already."""


class Ingest:
    """Adds photos to albums. Thread-safe."""

    def __init__(self, db: Database, originals: Originals, decoder: Decoder, limits: AlbumLimits) -> None:
        self._db = db
        self._originals = originals
        self._decoder = decoder
        self._limits = limits

    def add(self, album: int, name: str, data: bytes, also: AlsoWrite | None = None) -> AlbumAdded:
        """One photo. Raises InvalidImage and OverLimit; UnknownAlbum where the album has gone meanwhile.

        The original is on disk, whole, before the row that names it is committed: a crash between the two leaves a
        file that the next start sweeps away, and never a photo without its bytes.
        """
        header = look_at(self._decoder, data, self._limits)
        sha256 = hashlib.sha256(data).hexdigest()
        photo = NewPhoto(photo_name(name), sha256, len(data), zlib.crc32(data), header)
        with self._db.reading() as db:
            known = catalogue.has_blob(db, sha256)
            catalogue.must_exist(db, album)
            if not known:
                catalogue.check_quota(db, album, photo.size, self._limits)
        written = None if known else self._originals.write(data)
        try:
            with self._db.writing() as db:
                # Under the writer's lock, which also guards the removal of originals.
                catalogue.must_exist(db, album)
                if not catalogue.has_blob(db, sha256):
                    written = written or self._originals.write(data)  # deleted since we looked
                    self._originals.keep(written, sha256)
                number, duplicate = catalogue.add_photo(db, album, photo, self._limits)
                if also is not None:
                    also(db, duplicate)
        finally:
            if written is not None:
                written.unlink(missing_ok=True)
        return AlbumAdded(number, photo.name, duplicate, sha256, header.width, header.height)
