"""Adds a photo: checks it, writes it, and only then records it. An acknowledged photo is on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from facewire.protocol.albums.adding import AlbumAdded
from facewire.server.albums import catalogue, metadata
from facewire.server.albums.catalogue import NewPhoto
from facewire.server.albums.database import Database
from facewire.server.albums.metadata import Named
from facewire.server.albums.names import photo_name
from facewire.server.albums.originals import Originals, Written, sums_of
from facewire.server.albums.pictures import look_at_original
from facewire.server.albums.settings import AlbumLimits
from facewire.server.errors import InvalidImage
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.decoding.on_disk import OnDisk

AlsoWrite = Callable[[sqlite3.Connection, AlbumAdded], None]
"""Writes more in the transaction that adds a photo."""

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
        file: bytes | Written,
        also: AlsoWrite | None = None,
        looking: AbstractContextManager[None] = _UNGUARDED,
        modified: str = "",
        sidecars: Sequence[bytes] | None = None,
    ) -> AlbumAdded:
        """Adds one photo or video. Raises InvalidImage, OverLimit, and UnknownAlbum if the album was deleted meanwhile.

        The original is completely on disk before its row is committed. A crash between the two leaves a file that the
        next start removes, never a photo without its bytes.

        It replaces a photo of the same name that is a prefix of it, such as a file added while it was still being
        copied. `looking` is entered while the picture itself is inspected; `modified`: the file's time, by `file_time`.
        `sidecars`: XMP beside the file; names are taken from it and from the picture itself, unless it is None, and
        unless the file is `Written`, which is for videos. The caller removes that afterwards, whatever happens.
        """
        with looking, _opened(file) as opened:
            header, seconds = look_at_original(self._decoder, opened, self._limits)
        sums = sums_of([file]) if isinstance(file, bytes) else file.sums
        sha256 = sums.sha256
        if seconds is not None and (reason := self._limits.against_video(sums.size)):
            raise InvalidImage(reason)
        found: Sequence[Named] = ()
        if isinstance(file, bytes) and sidecars is not None and seconds is None:  # a video has none for its every frame
            found = metadata.names_in(file, sidecars, header)
        photo = NewPhoto(photo_name(name), sha256, sums.size, sums.crc32, header, modified, seconds)
        with self._db.reading() as db:
            known = catalogue.has_blob(db, sha256)
            catalogue.must_exist(db, album)
            if not known:
                catalogue.check_quota(db, album, photo.size, self._limits)
        healed, unused = self._beginnings(album, photo, file), list[str]()
        path = None if known else self._path(file)
        try:
            with self._db.writing() as db:
                # The writer's lock, held here, also guards the removal of originals.
                catalogue.must_exist(db, album)
                if not catalogue.has_blob(db, sha256):
                    path = path or self._path(file)  # deleted since we checked
                    self._originals.keep(path, sha256)
                for broken in healed:
                    unused += catalogue.drop_photo(db, broken)
                number, duplicate = catalogue.add_photo(db, album, photo, self._limits)
                metadata.keep(db, number, found)
                added = AlbumAdded(number, photo.name, duplicate, sha256, header.width, header.height)
                if also is not None:
                    also(db, added)
        finally:
            if path is not None and isinstance(file, bytes):
                path.unlink(missing_ok=True)
        if unused:
            self._drop(unused)
        return added

    def _path(self, file: bytes | Written) -> Path:
        """Where the file is, before it is kept."""
        return self._originals.write(file) if isinstance(file, bytes) else file.path

    def _beginnings(self, album: int, photo: NewPhoto, file: bytes | Written) -> list[int]:
        """The ids of the album's photos of this name that are a prefix of `file`."""
        with self._db.reading() as db:
            suspects = catalogue.without_faces(db, album, photo.name, photo.size)
        if not suspects:
            return []
        with _opened(file) as whole:
            others = (each for each in suspects if each[1] != photo.sha256)
            return [number for number, sha256 in others if self._is_beginning(sha256, whole)]

    def _is_beginning(self, sha256: str, whole: bytes | OnDisk) -> bool:
        try:
            with self._originals.opened(sha256) as kept:
                return begins_with(whole, kept)
        except FileNotFoundError:  # removed meanwhile
            return False


def begins_with(whole: bytes | OnDisk, kept: OnDisk) -> bool:
    """Is `kept` a prefix of `whole`? Some programs allocate the whole file first, then fill it, so its trailing zeros
    don't count. Raises OSError."""
    at, same = 0, True
    while block := kept.block(at):
        if same:
            other = whole[at : at + len(block)] if isinstance(whole, bytes) else whole.block(at)[: len(block)]
            same = block == other
        else:
            other = b""
        if not same and not other.startswith(block.rstrip(b"\0")):
            return False
        at += len(block)
    return True


def _opened(file: bytes | Written) -> AbstractContextManager[bytes | OnDisk]:
    return nullcontext(file) if isinstance(file, bytes) else file.opened()
