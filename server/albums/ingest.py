"""How a photo comes in: checked, written, and only then known. What was acknowledged is on disk."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, field

from protocol.album_messages import AlbumAdded, AlbumIngested, AlbumSkipped
from server.albums import catalogue
from server.albums.catalogue import NewPhoto
from server.albums.database import Database
from server.albums.limits import AlbumLimits
from server.albums.names import photo_name
from server.albums.originals import Originals
from server.albums.pictures import look_at
from server.errors import InvalidImage


class Ingest:
    """Adds photos to albums. Thread-safe."""

    def __init__(self, db: Database, originals: Originals, limits: AlbumLimits) -> None:
        self._db = db
        self._originals = originals
        self._limits = limits

    def add(self, album: int, name: str, data: bytes) -> AlbumAdded:
        """One photo. Raises InvalidImage and OverLimit; UnknownAlbum where the album has gone meanwhile.

        The original is on disk, whole, before the row that names it is committed: a crash between the two leaves a
        file that the next start sweeps away, and never a photo without its bytes.
        """
        header = look_at(data, self._limits)
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
        finally:
            if written is not None:
                written.unlink(missing_ok=True)
        return AlbumAdded(number, photo.name, duplicate, sha256, header.width, header.height)

    def add_or_skip(self, album: int, name: str, data: bytes, tally: Tally) -> None:
        """`add`, and into the tally with what became of it. Raises OverLimit: the rest would not fit either."""
        try:
            added = self.add(album, name, data)
        except InvalidImage as error:
            tally.skip(name, str(error))
            return
        if added.duplicate:
            tally.duplicates += 1
        else:
            tally.added += 1


@dataclass(slots=True)
class Tally:
    """What became of many files; at most `listed` of those skipped are listed."""

    listed: int
    added: int = 0
    duplicates: int = 0
    skipped_total: int = 0
    skipped: list[AlbumSkipped] = field(default_factory=list)

    def skip(self, name: str, reason: str) -> None:
        """This one was not added."""
        self.skipped_total += 1
        if len(self.skipped) < self.listed:
            self.skipped.append(AlbumSkipped(photo_name(name), reason))

    def ingested(self) -> AlbumIngested:
        """As the protocol says it."""
        return AlbumIngested(self.added, self.duplicates, tuple(self.skipped), self.skipped_total)
