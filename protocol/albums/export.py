"""A ZIP of originals, read in pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from facewire.protocol.albums.looking import check_days
from facewire.protocol.albums.search import AlbumWanted, ShowFound, Together
from facewire.protocol.errors import InvalidRequest
from facewire.protocol.gallery_messages import MAX_NUMBER
from facewire.protocol.rights import LOOKING, Needs
from facewire.protocol.schema import Asks, Range

MAX_EXPORT_READ = 4 * 1024 * 1024  # bytes per `album.export_read`; far below any frame limit
EXPORT_READ = 1024 * 1024  # the default: few enough frames, little memory


@dataclass(frozen=True, slots=True)
class AlbumExport(Asks["AlbumExported"]):
    """Prepares a ZIP of originals: of the whole album, of the photos of `people` (`any` or `all` of them), of `photos`,
    or of the results of a search for `wanted`; `show`: of these, all, or as in `AlbumSearch`. `sidecars`: adds an XMP
    file for every photo with names, and one labels.json. `since`, `until`: only photos of these days, as in
    `AlbumPhotos`. Read it with `album.export_read`.

    `embedded`: JPEGs are copies that hold the names in them, instead of in a file beside them.
    """

    op: ClassVar[str] = "album.export"
    needs: ClassVar[Needs] = LOOKING
    album: str
    people: tuple[int, ...] = ()
    photos: tuple[int, ...] = ()
    wanted: tuple[AlbumWanted, ...] = ()
    together: Together = "any"
    sidecars: bool = True
    since: str = ""
    until: str = ""
    embedded: bool = False
    show: ShowFound = "all"

    def check(self) -> None:
        if self.embedded and not self.sidecars:
            raise InvalidRequest("'embedded' needs 'sidecars': formats other than JPEG have their names beside them")
        check_days(self.since, self.until)
        if self.show != "all" and not self.wanted:
            raise InvalidRequest("'show' is for the results of a search: give 'wanted', too")
        if sum(map(bool, (self.people, self.photos, self.wanted))) > 1:
            raise InvalidRequest("give one of 'people', 'photos' and 'wanted', or none of them for the whole album")


@dataclass(frozen=True, slots=True)
class AlbumExported:
    """Answer of `export`: the ZIP's size in bytes and its number of files. It can be read for a day. `embedded`,
    `beside`: of how many photos the names are in them, and in an XMP file beside them."""

    export: str
    name: str
    size_bytes: int
    files: int
    embedded: int = 0
    beside: int = 0


@dataclass(frozen=True, slots=True)
class AlbumExportRead(Asks["AlbumExportPiece"]):
    """Reads a piece of the ZIP at any `offset`, in any order, repeatedly, and after a restart of either side."""

    op: ClassVar[str] = "album.export_read"
    needs: ClassVar[Needs] = LOOKING
    repeatable: ClassVar[bool] = True
    export: str
    offset: Annotated[int, Range(0, MAX_NUMBER)] = 0
    size: Annotated[int, Range(1, MAX_EXPORT_READ)] = EXPORT_READ


@dataclass(frozen=True, slots=True)
class AlbumExportPiece:
    """Answer of `export_read`; shorter than requested only at the ZIP's end. `size_bytes`: of the whole ZIP."""

    data: bytes
    size_bytes: int
