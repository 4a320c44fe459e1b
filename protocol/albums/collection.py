"""Albums as a whole: create, list, rename, delete, status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from facewire.protocol.rights import LOOKING, Needs, any_of
from facewire.protocol.schema import Asks

MAX_ALBUM_PAGE = 1000  # `limit` of lists: a page of photos takes about 250 KB


@dataclass(frozen=True, slots=True)
class AlbumCreate(Asks["AlbumInfo"]):
    """Creates an empty album."""

    op: ClassVar[str] = "album.create"
    needs: ClassVar[Needs] = any_of("albums")
    album: str


@dataclass(frozen=True, slots=True)
class AlbumList(Asks["AlbumsListed"]):
    """Lists the albums, by name; `contains`: those whose name contains this, ignoring case and accents."""

    op: ClassVar[str] = "album.list"
    needs: ClassVar[Needs] = LOOKING
    repeatable: ClassVar[bool] = True
    offset: int = 0
    limit: int = MAX_ALBUM_PAGE
    contains: str = ""


@dataclass(frozen=True, slots=True)
class AlbumDelete(Asks["AlbumDeleted"]):
    """Deletes an album with its photos, faces, people and history permanently. People enrolled from it stay in the
    gallery."""

    op: ClassVar[str] = "album.delete"
    needs: ClassVar[Needs] = any_of("albums")
    album: str


@dataclass(frozen=True, slots=True)
class AlbumRename(Asks["AlbumInfo"]):
    """Renames an album."""

    op: ClassVar[str] = "album.rename"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    to: str


@dataclass(frozen=True, slots=True)
class AlbumStatus(Asks["AlbumInfo"]):
    """The contents of an album, and whether it is being processed."""

    op: ClassVar[str] = "album.status"
    needs: ClassVar[Needs] = LOOKING
    repeatable: ClassVar[bool] = True
    album: str


@dataclass(frozen=True, slots=True)
class AlbumInfo:
    """Answer of `create`, `rename`, `status` and `process`: one album.

    `size_bytes`: of the originals; `photos` is `waiting` + `with_faces` + `without_faces` + `unreadable`; `people`:
    number of people not hidden; `named`: of those, with a name; `undo`: describes what `album.undo` would undo, and
    `undo_event` is its number; `adding`: a ZIP, a folder or a large video is being added; `strangers`: of the people
    not hidden, those whom nobody knows according to a user; `favourites`: number of photos marked so; `text_search`:
    `album.search` takes a text; `processed`: of the processing that has not ended yet, the photos done so far, whatever
    was restarted meanwhile: beside them, `waiting` are left.
    """

    album: str
    created: str
    photos: int
    size_bytes: int
    waiting: int
    with_faces: int
    without_faces: int
    unreadable: int
    faces: int
    people: int
    named: int
    hidden: int
    processing: bool
    undo: str | None
    adding: bool = False
    undo_event: int | None = None
    text_search: bool = False
    processed: int = 0
    strangers: int = 0
    favourites: int = 0


@dataclass(frozen=True, slots=True)
class AlbumsListed:
    """Answer of `list`."""

    albums: tuple[AlbumInfo, ...]
    total: int


@dataclass(frozen=True, slots=True)
class AlbumDeleted:
    """Answer of `delete`: the number of photos deleted."""

    album: str
    photos: int
