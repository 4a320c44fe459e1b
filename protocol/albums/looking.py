"""Lists the photos, faces and people of an album page by page, and returns pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from facewire.protocol.albums.collection import MAX_ALBUM_PAGE
from facewire.protocol.asks import Asks, Range

PhotoState = Literal["waiting", "faces", "no_faces", "unreadable"]
Show = Literal["all", "waiting", "faces", "no_faces", "unreadable"]
Box = tuple[float, float, float, float]
MAX_THUMBNAIL = 4096  # pixels of a thumbnail's longer side: larger than most screens


@dataclass(frozen=True, slots=True)
class AlbumPhotos(Asks["AlbumPhotosListed"]):
    """Lists the photos, by name; `person`: only those that show this person."""

    op: ClassVar[str] = "album.photos"
    album: str
    show: Show = "all"
    person: int | None = None
    offset: int = 0
    limit: int = MAX_ALBUM_PAGE


@dataclass(frozen=True, slots=True)
class AlbumPhotoEntry:
    """A photo. `width`, `height`: upright; `reason`: why it is unreadable."""

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
    """Returns a photo: the original's bytes if `size` is 0, else an upright JPEG, its longer side at most `size`."""

    op: ClassVar[str] = "album.photo"
    album: str
    photo: int
    size: Annotated[int, Range(0, MAX_THUMBNAIL)] = 0


@dataclass(frozen=True, slots=True)
class AlbumFace(Asks["AlbumPicture"]):
    """Returns a square JPEG around a face, `size` pixels wide."""

    op: ClassVar[str] = "album.face"
    album: str
    face: int
    size: Annotated[int, Range(16, 1024)] = 160


@dataclass(frozen=True, slots=True)
class AlbumPicture:
    """Answer of `photo` and `face`. `type`: the MIME type; `width`, `height`: of this picture, upright."""

    image: bytes
    type: str
    name: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class AlbumFaces(Asks["AlbumFacesListed"]):
    """Lists the faces of a person, of a photo, or all of them; best (large and confidently detected) first."""

    op: ClassVar[str] = "album.faces"
    album: str
    person: int | None = None
    photo: int | None = None
    offset: int = 0
    limit: int = MAX_ALBUM_PAGE


@dataclass(frozen=True, slots=True)
class AlbumFaceEntry:
    """A face. `person`: None until it is clustered; `placed`: a user has assigned it."""

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
    """Lists the people: named ones first, then by number of faces. `hidden`: list the hidden ones instead."""

    op: ClassVar[str] = "album.people"
    album: str
    hidden: bool = False
    offset: int = 0
    limit: int = MAX_ALBUM_PAGE


@dataclass(frozen=True, slots=True)
class AlbumPerson:
    """A cluster of faces. `face`: the best one."""

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
