"""A ZIP of originals, read in pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from facewire.protocol.albums.search import AlbumWanted, Together
from facewire.protocol.asks import Asks, Range
from facewire.protocol.errors import InvalidRequest
from facewire.protocol.gallery_messages import MAX_NUMBER

MAX_EXPORT_READ = 4 * 1024 * 1024  # bytes per `album.export_read`; far below any frame limit
EXPORT_READ = 1024 * 1024  # the default: few enough frames, little memory


@dataclass(frozen=True, slots=True)
class AlbumExport(Asks["AlbumExported"]):
    """Prepares a ZIP of originals: of the whole album, of the photos of `people` (`any` or `all` of them), of `photos`,
    or of the results of a search for `wanted`. `sidecars`: adds an XMP file for every photo with names, and one
    labels.json. Read it with `album.export_read`.
    """

    op: ClassVar[str] = "album.export"
    album: str
    people: tuple[int, ...] = ()
    photos: tuple[int, ...] = ()
    wanted: tuple[AlbumWanted, ...] = ()
    together: Together = "any"
    sidecars: bool = True

    def check(self) -> None:
        if sum(map(bool, (self.people, self.photos, self.wanted))) > 1:
            raise InvalidRequest("give one of 'people', 'photos' and 'wanted', or none for the whole album")


@dataclass(frozen=True, slots=True)
class AlbumExported:
    """Answer of `export`: the ZIP's size in bytes and its number of files. It can be read for a day."""

    export: str
    name: str
    size_bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class AlbumExportRead(Asks["AlbumExportPiece"]):
    """Reads a piece of the ZIP at any `offset`, in any order, repeatedly, and after a restart of either side."""

    op: ClassVar[str] = "album.export_read"
    export: str
    offset: Annotated[int, Range(0, MAX_NUMBER)] = 0
    size: Annotated[int, Range(1, MAX_EXPORT_READ)] = EXPORT_READ


@dataclass(frozen=True, slots=True)
class AlbumExportPiece:
    """Answer of `export_read`; shorter than requested only at the ZIP's end. `size_bytes`: of the whole ZIP."""

    data: bytes
    size_bytes: int
