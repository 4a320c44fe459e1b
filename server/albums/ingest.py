"""Adds a photo: checks it, writes it, and only then records it. An acknowledged photo is on disk."""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from facewire.protocol.albums.adding import AlbumAdded
from facewire.server.albums import catalogue
from facewire.server.albums.catalogue import NewPhoto
from facewire.server.albums.database import Database
from facewire.server.albums.limits import AlbumLimits
from facewire.server.albums.names import photo_name
from facewire.server.albums.originals import Originals
from facewire.server.albums.pictures import look_at
from facewire.server.vision.decoding.decoder import Decoder

AlsoWrite = Callable[[sqlite3.Connection, bool], None]
"""Writes more in the transaction that adds a photo. The bool says whether the album had the photo already."""

Drop = Callable[[list[str]], None]
"""Removes unreferenced originals, given by sha256, and their renditions."""


_UNGUARDED = nullcontext()


class Ingest:
    """Adds photos to albums. Thread-safe."""

    def __init__(self, db: Database, originals: Originals, decoder: Decoder, limits: AlbumLimits, drop: Drop) -> None:
        self._drop = drop
        self._db = db
        self._originals = originals
        self._decoder = decoder
        self._limits = limits

    def add(
        self,
        album: int,
        name: str,
        data: bytes,
        also: AlsoWrite | None = None,
        looking: AbstractContextManager[None] = _UNGUARDED,
    ) -> AlbumAdded:
        """Adds one photo. Raises InvalidImage, OverLimit, and UnknownAlbum if the album was deleted meanwhile.

        The original is completely on disk before its row is committed. A crash between the two leaves a file that the
        next start removes, never a photo without its bytes.

        It replaces a photo of the same name that is a prefix of it, such as a file added while it was still being
        copied. `looking` is entered while the picture itself is inspected.
        """
        with looking:
            header = look_at(self._decoder, data, self._limits)
        sha256 = hashlib.sha256(data).hexdigest()
        photo = NewPhoto(photo_name(name), sha256, len(data), zlib.crc32(data), header)
        with self._db.reading() as db:
            known = catalogue.has_blob(db, sha256)
            catalogue.must_exist(db, album)
            if not known:
                catalogue.check_quota(db, album, photo.size, self._limits)
        healed, unused = self._beginnings(album, photo.name, data), list[str]()
        written = None if known else self._originals.write(data)
        try:
            with self._db.writing() as db:
                # The writer's lock, held here, also guards the removal of originals.
                catalogue.must_exist(db, album)
                if not catalogue.has_blob(db, sha256):
                    written = written or self._originals.write(data)  # deleted since we checked
                    self._originals.keep(written, sha256)
                for broken in healed:
                    unused += catalogue.drop_photo(db, broken)
                number, duplicate = catalogue.add_photo(db, album, photo, self._limits)
                if also is not None:
                    also(db, duplicate)
        finally:
            if written is not None:
                written.unlink(missing_ok=True)
        if unused:
            self._drop(unused)
        return AlbumAdded(number, photo.name, duplicate, sha256, header.width, header.height)

    def _beginnings(self, album: int, name: str, data: bytes) -> list[int]:
        """The ids of the album's photos of this name that are a prefix of `data`."""
        with self._db.reading() as db:
            suspects = catalogue.without_faces(db, album, name, len(data))
        return [number for number, sha256 in suspects if self._is_beginning(sha256, data)]

    def _is_beginning(self, sha256: str, data: bytes) -> bool:
        try:
            kept = self._originals.read(sha256)
        except FileNotFoundError:  # removed meanwhile
            return False
        # Some programs allocate the whole file first, then fill it: ignore trailing zeros.
        return kept != data and data.startswith(kept.rstrip(b"\0"))
