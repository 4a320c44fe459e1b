"""Shows photos and faces, and removes photos with everything derived from them."""

from __future__ import annotations

import sqlite3

from facewire.protocol.albums.adding import AlbumRemove, AlbumRemoved
from facewire.protocol.albums.looking import AlbumFace, AlbumPhoto, AlbumPicture
from facewire.protocol.formats import format_called
from facewire.server.albums import catalogue, faces
from facewire.server.albums.database import Database
from facewire.server.albums.file_cache import FileCache
from facewire.server.albums.limits import AlbumLimits
from facewire.server.albums.originals import Originals
from facewire.server.albums.renditions import Renditions
from facewire.server.errors import BadRequest
from facewire.server.vision.decoding.decoder import Decoder


class Photos:
    """Thread-safe."""

    def __init__(
        self, db: Database, originals: Originals, cache: FileCache, decoder: Decoder, limits: AlbumLimits
    ) -> None:
        """`cache`: for renditions of the originals."""
        self._db = db
        self._originals = originals
        self._cache = cache
        self._renditions = Renditions(cache, decoder, limits)

    def sweep(self, db: sqlite3.Connection) -> None:
        """Removes files left by a crash."""
        for files in (self._originals, self._cache):
            files.sweep(lambda sha256: catalogue.has_blob(db, sha256))

    def photo(self, album: int, message: AlbumPhoto) -> AlbumPicture:
        """A photo or its thumbnail. Raises BadRequest; InvalidImage if a thumbnail can't be decoded."""
        with self._db.reading() as db:
            row = catalogue.photo(db, album, message.photo)
        sha256 = row["sha256"]
        if not message.size:
            data = self._original(sha256)
            return AlbumPicture(data, format_called(row["format"]).mime, row["name"], row["width"], row["height"])
        small, width, height = self._renditions.photo(sha256, message.size, lambda: self._original(sha256))
        self._forget_if_gone(sha256)
        return AlbumPicture(small, "image/jpeg", row["name"], width, height)

    def face(self, album: int, message: AlbumFace) -> AlbumPicture:
        """A crop of a face. Raises BadRequest, InvalidImage."""
        with self._db.reading() as db:
            row = faces.face(db, album, message.face)
        sha256, box, shown = row["sha256"], faces.face_entry(row).box, (row["width"], row["height"])
        crop = self._renditions.face(sha256, box, shown, message.size, lambda: self._original(sha256))
        self._forget_if_gone(sha256)
        return AlbumPicture(crop, "image/jpeg", row["photo_name"], message.size, message.size)

    def remove(self, album: int, message: AlbumRemove) -> AlbumRemoved:
        """Removes photos. Raises UnknownAlbum, BadRequest."""
        with self._db.writing() as db:
            catalogue.must_exist(db, album)
            photos, removed, unused = catalogue.remove_photos(db, album, message.photos)
        self.drop(unused)
        return AlbumRemoved(photos, removed)

    def drop(self, unused: list[str]) -> None:
        """Removes originals no longer needed, unless they were added again meanwhile."""
        with self._db.writing() as db:
            gone = [sha256 for sha256 in unused if not catalogue.has_blob(db, sha256)]
            self._originals.drop(gone)
        self._cache.drop(gone)

    def _original(self, sha256: str) -> bytes:
        try:
            return self._originals.read(sha256)
        except FileNotFoundError as error:
            raise BadRequest("the photo has been removed") from error

    def _forget_if_gone(self, sha256: str) -> None:
        """A rendition made while its photo was being removed must not stay behind."""
        with self._db.reading() as db:
            if catalogue.has_blob(db, sha256):
                return
        self._cache.drop([sha256])
