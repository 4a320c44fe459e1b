"""Shows photos and faces, and removes photos with everything derived from them.

Thumbnails and crops are cached, in a few sizes only; sizes in between are quickly made from them. So a client that
requests every possible size can't fill the cache."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import struct
from collections.abc import Callable

from facewire.protocol.albums.adding import AlbumRemove, AlbumRemoved
from facewire.protocol.albums.looking import AlbumFace, AlbumPhoto, AlbumPhotoPiece, AlbumPhotoRead, AlbumPicture
from facewire.protocol.formats import format_called
from facewire.server.albums import catalogue, faces
from facewire.server.albums.database import Database
from facewire.server.albums.file_cache import FileCache
from facewire.server.albums.originals import Originals
from facewire.server.albums.pictures import face_crop, look_at, thumbnail
from facewire.server.albums.settings import AlbumLimits
from facewire.server.albums.stills import Stills
from facewire.server.errors import BadRequest
from facewire.server.gallery.records import Box
from facewire.server.vision.decoding.decoder import Decoder

PHOTO_SIZES = (320, 1024, 2048, 4096)  # for a tile, a window, a screen, and the largest size allowed
FACE_SIZES = (320, 1024)

_OURS = AlbumLimits()  # for our own renditions, independent of the limits for uploads

Original = Callable[[], bytes]


class Renditions:
    """Thread-safe. `original` is called if the original's bytes are needed; its errors are passed on."""

    def __init__(self, cache: FileCache, decoder: Decoder, limits: AlbumLimits) -> None:
        self._cache = cache
        self._decoder = decoder
        self._limits = limits

    def photo(self, sha256: str, size: int, original: Original, at: float | None = None) -> tuple[bytes, int, int]:
        """An upright JPEG whose longer side is at most `size` pixels, its width and height; `at`: of a video, the
        second that `original` shows. Raises InvalidImage."""
        kept = _at_least(size, PHOTO_SIZES)
        name = f"photo-{kept}.jpg" if at is None else f"photo-{kept}-{at:.3f}.jpg"
        data = self._kept(sha256, name)
        if data is None:
            data = thumbnail(self._decoder, original(), self._limits, kept)[0]
            self._cache.put(sha256, name, data)
        header = look_at(self._decoder, data, _OURS)
        if max(header.width, header.height) <= size:
            return data, header.width, header.height
        return thumbnail(self._decoder, data, _OURS, size)

    def face(
        self, sha256: str, box: Box, shown: tuple[int, int], size: int, original: Original, at: float | None = None
    ) -> bytes:
        """A square JPEG, `size` wide, around `box`; see `face_crop`, and `photo` for `at`. Raises InvalidImage."""
        kept = _at_least(size, FACE_SIZES)
        where = box if at is None else (*box, at)
        place = hashlib.blake2s(struct.pack(f"<{len(where)}d", *where), digest_size=8).hexdigest()
        name = f"face-{place}-{kept}.jpg"
        data = self._kept(sha256, name)
        if data is None:
            data = face_crop(self._decoder, original(), self._limits, box, shown, kept)
            self._cache.put(sha256, name, data)
        return data if size == kept else thumbnail(self._decoder, data, _OURS, size)[0]

    def _kept(self, sha256: str, name: str) -> bytes | None:
        """The cached bytes; None if missing or damaged by a crash of the machine."""
        data = self._cache.get(sha256, name)
        return data if data is not None and _is_whole(data) else None


def _at_least(size: int, sizes: tuple[int, ...]) -> int:
    return next(each for each in sizes if each >= size)


def _is_whole(jpeg: bytes) -> bool:
    return jpeg.startswith(b"\xff\xd8") and jpeg.endswith(b"\xff\xd9")


class Photos:
    """Thread-safe."""

    def __init__(
        self, db: Database, originals: Originals, cache: FileCache, decoder: Decoder, limits: AlbumLimits
    ) -> None:
        """`cache`: for renditions of the originals."""
        self._db = db
        self._originals = originals
        self._cache = cache
        self._limits = limits
        self._renditions = Renditions(cache, decoder, limits)
        self._stills = Stills(originals, decoder)

    def sweep(self, db: sqlite3.Connection) -> None:
        """Removes files left by a crash."""
        for files in (self._originals, self._cache):
            files.sweep(lambda sha256: catalogue.has_blob(db, sha256))

    def photo(self, album: int, message: AlbumPhoto) -> AlbumPicture:
        """A photo or its thumbnail. Raises BadRequest; InvalidImage if a thumbnail can't be decoded."""
        with self._db.reading() as db:
            row = catalogue.photo(db, album, message.photo)
            sha256, seconds = row["sha256"], row["seconds"]
            at = None if seconds is None else faces.poster_at(db, sha256, seconds)
        if not message.size:
            if row["size"] > self._limits.photo_bytes:
                raise BadRequest(f"its {row['size']} bytes are more than a frame holds: read it with album.photo_read")
            data = self._original(sha256)
            return AlbumPicture(data, format_called(row["format"]).mime, row["name"], row["width"], row["height"])
        small, width, height = self._renditions.photo(sha256, message.size, lambda: self._original(sha256, at), at)
        self._forget_if_gone(sha256)
        return AlbumPicture(small, "image/jpeg", row["name"], width, height)

    def read(self, album: int, message: AlbumPhotoRead) -> AlbumPhotoPiece:
        """A piece of an original. Raises BadRequest."""
        with self._db.reading() as db:
            row = catalogue.photo(db, album, message.photo)
        try:
            with self._originals.opened(row["sha256"]) as file:
                data = os.pread(file.fd, message.size, message.offset)
        except FileNotFoundError as error:
            raise BadRequest("the photo has been removed") from error
        mime = format_called(row["format"]).mime
        return AlbumPhotoPiece(data, row["size"], mime, row["name"], row["width"], row["height"])

    def face(self, album: int, message: AlbumFace) -> AlbumPicture:
        """A crop of a face. Raises BadRequest, InvalidImage."""
        with self._db.reading() as db:
            row = faces.face(db, album, message.face)
        sha256, box, shown = row["sha256"], faces.face_entry(row).box, (row["width"], row["height"])
        at = row["at"]
        crop = self._renditions.face(sha256, box, shown, message.size, lambda: self._original(sha256, at), at)
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

    def _original(self, sha256: str, at: float | None = None) -> bytes:
        """`at`: of a video, the frame at that second."""
        try:
            return self._stills.picture(sha256, at)
        except FileNotFoundError as error:
            raise BadRequest("the photo has been removed") from error

    def _forget_if_gone(self, sha256: str) -> None:
        """A rendition made while its photo was being removed must not stay behind."""
        with self._db.reading() as db:
            if catalogue.has_blob(db, sha256):
                return
        self._cache.drop([sha256])
