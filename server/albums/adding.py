"""Many photos at once: ZIPs that came up in pieces, and folders of the server's own disk."""

from __future__ import annotations

from pathlib import Path

from protocol.album_messages import AlbumAddZip, AlbumFoldersListed, AlbumIngested, AlbumZipTaken
from server.albums.database import Database
from server.albums.folders import folder_below, listing, pictures_in, read_file
from server.albums.ingest import Ingest, Tally
from server.albums.jobs import Job
from server.albums.limits import AlbumLimits
from server.albums.uploads import Uploads
from server.albums.zips import PhotoZip
from server.errors import RequestError


class Adding:
    """Thread-safe. Whatever was cut off may be asked for again: what is there already counts as a duplicate."""

    def __init__(self, root: Path, import_root: Path | None, db: Database, ingest: Ingest, limits: AlbumLimits) -> None:
        self._import_root = import_root
        self._ingest = ingest
        self._limits = limits
        self._uploads = Uploads(root, db, limits)

    def take_piece(self, album: int, message: AlbumAddZip) -> AlbumZipTaken:
        """Writes a piece of a ZIP. Raises BadRequest, OverLimit."""
        return AlbumZipTaken(*self._uploads.take(album, message.upload, message.offset, message.data))

    def unpack(self, album: int, taken: AlbumZipTaken, job: Job) -> AlbumZipTaken:
        """Adds every photo of an upload that is complete, and forgets it. Raises BadRequest, OverLimit, Stopped.

        The upload stays when the server stops, so that its last piece can be sent again.
        """
        path = self._uploads.path(album, taken.upload)
        tally = Tally(self._limits.skipped_listed)
        try:
            with PhotoZip(path, self._limits) as file:
                for number, entry in enumerate(file.photos()):
                    job.at("unpacking", number, len(file.entries), added=tally.added)
                    if entry.data is None:
                        tally.skip(entry.name, entry.reason)
                    else:
                        self._ingest.add_or_skip(album, entry.name, entry.data, tally)
        except RequestError:
            self._uploads.end(taken.upload)
            raise
        self._uploads.end(taken.upload)
        return AlbumZipTaken(taken.upload, taken.received, tally.ingested())

    def folder(self, wanted: str) -> Path:
        """A folder below the import root. Raises BadRequest."""
        return folder_below(self._import_root, wanted)

    def folders(self, wanted: str) -> AlbumFoldersListed:
        """What could be imported. Raises BadRequest."""
        return listing(self._import_root, wanted)

    def import_from(self, album: int, folder: Path, job: Job) -> AlbumIngested:
        """Adds every picture below `folder`, named relative to the import root. Raises OverLimit, Stopped."""
        assert self._import_root is not None  # `folder` came from it
        root = self._import_root.resolve()
        tally = Tally(self._limits.skipped_listed)
        paths = list(pictures_in(folder))
        for number, path in enumerate(paths):
            job.at("unpacking", number, len(paths), added=tally.added)
            name = path.relative_to(root).as_posix()
            data = read_file(path, self._limits)
            if isinstance(data, str):
                tally.skip(name, data)
            else:
                self._ingest.add_or_skip(album, name, data, tally)
        return tally.ingested()
