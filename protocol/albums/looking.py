"""Photos, faces and people of an album, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from facewire.protocol.albums.collection import MAX_ALBUM_PAGE
from facewire.protocol.asks import Asks, Range

PhotoState = Literal["waiting", "faces", "no_faces", "unreadable"]
Show = Literal["all", "waiting", "faces", "no_faces", "unreadable"]
Box = tuple[float, float, float, float]
MAX_THUMBNAIL = 4096  # pixels of a thumbnail's longer side: more than a screen has


@dataclass(frozen=True, slots=True)
class AlbumPhotos(Asks["AlbumPhotosListed"]):
    """The photos, by name; `person`: those that show this one."""

    op: ClassVar[str] = "album.photos"
    album: str
    show: Show = "all"
    person: int | None = None
    offset: int = 0
    limit: int = MAX_ALBUM_PAGE


@dataclass(frozen=True, slots=True)
class AlbumPhotoEntry:
    """A photo. `width`, `height`: as shown; `reason`: why it is unreadable."""

    photo: int
    name: str
    size_bytes: int
    width: int
    height: int
    state: PhotoState
    reason: str | None
    faces: int
    sha256: str


@dataclass(frozen=True, slots=True)
class AlbumPhotosListed:
    """Answer of `photos`."""

    photos: tuple[AlbumPhotoEntry, ...]
    total: int


@dataclass(frozen=True, slots=True)
class AlbumPhoto(Asks["AlbumPicture"]):
    """One photo: the original's bytes with `size` 0, else a JPEG as shown whose longer side is at most `size`."""

    op: ClassVar[str] = "album.photo"
    album: str
    photo: int
    size: Annotated[int, Range(0, MAX_THUMBNAIL)] = 0


@dataclass(frozen=True, slots=True)
class AlbumFace(Asks["AlbumPicture"]):
    """A square JPEG around one face, `size` pixels wide."""

    op: ClassVar[str] = "album.face"
    album: str
    face: int
    size: Annotated[int, Range(16, 1024)] = 160


@dataclass(frozen=True, slots=True)
class AlbumPicture:
    """Answer of `photo` and `face`. `type`: the MIME type; `width`, `height`: of this picture, as shown."""

    image: bytes
    type: str
    name: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class AlbumFaces(Asks["AlbumFacesListed"]):
    """The faces of a person, of a photo, or all; the best (large and sure) first."""

    op: ClassVar[str] = "album.faces"
    album: str
    person: int | None = None
    photo: int | None = None
    offset: int = 0
    limit: int = MAX_ALBUM_PAGE


@dataclass(frozen=True, slots=True)
class AlbumFaceEntry:
    """A face. `person`: None until it was clustered; `placed`: a user has said whose it is."""

    face: int
    photo: int
    box: Box
    detection: float
    person: int | None
    name: str | None
    placed: bool


@dataclass(frozen=True, slots=True)
class AlbumFacesListed:
    """Answer of `faces`."""

    faces: tuple[AlbumFaceEntry, ...]
    total: int


@dataclass(frozen=True, slots=True)
class AlbumPeople(Asks["AlbumPeopleListed"]):
    """The people found: those with a name first, then by the number of faces. `hidden`: the hidden ones instead."""

    op: ClassVar[str] = "album.people"
    album: str
    hidden: bool = False
    offset: int = 0
    limit: int = MAX_ALBUM_PAGE


@dataclass(frozen=True, slots=True)
class AlbumPerson:
    """A cluster of faces. `face`: the one that shows them best."""

    person: int
    name: str | None
    faces: int
    photos: int
    face: int
    hidden: bool


@dataclass(frozen=True, slots=True)
class AlbumPeopleListed:
    """Answer of `people`."""

    people: tuple[AlbumPerson, ...]
    total: int
