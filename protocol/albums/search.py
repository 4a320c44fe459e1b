"""Photos that show somebody, alone or with others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from facewire.protocol.albums.looking import AlbumPhotoEntry, Box
from facewire.protocol.asks import Asks, Length
from facewire.protocol.errors import InvalidRequest

Together = Literal["any", "all"]
ShowFound = Literal["all", "solo", "group"]
MatchedBy = Literal["face", "person"]


@dataclass(frozen=True, slots=True)
class AlbumSample:
    """A picture of somebody; `leave_out`: faces of it that are not meant, from 0 on, as `detect` lists them."""

    image: bytes
    leave_out: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AlbumWanted:
    """Somebody to look for: pictures of them, faces of the album, people of the album; any of them counts."""

    samples: tuple[AlbumSample, ...] = ()
    faces: tuple[int, ...] = ()
    people: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not (self.samples or self.faces or self.people):
            raise InvalidRequest("somebody wanted needs 'samples', 'faces' or 'people'")


@dataclass(frozen=True, slots=True)
class AlbumSearch(Asks["AlbumFound"]):
    """The photos that show `any` or `all` of those wanted; `solo` photos have one face, `group` photos more."""

    op: ClassVar[str] = "album.search"
    album: str
    wanted: Annotated[tuple[AlbumWanted, ...], Length(1, 32)]
    together: Together = "any"
    show: ShowFound = "all"
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class AlbumMatch:
    """A face that matched `wanted` (its place in the request): by its own similarity, or because its `person` did."""

    face: int
    box: Box
    wanted: int
    similarity: float
    person: int | None
    by: MatchedBy


@dataclass(frozen=True, slots=True)
class AlbumFoundPhoto:
    """A photo found. `similarity`: that of its best match, with `all` of its worst wanted."""

    photo: AlbumPhotoEntry
    similarity: float
    solo: bool
    matches: tuple[AlbumMatch, ...]


@dataclass(frozen=True, slots=True)
class AlbumSampleFace:
    """A face of a sample picture, and whether it was searched for."""

    box: Box
    used: bool


@dataclass(frozen=True, slots=True)
class AlbumWantedSeen:
    """What was made of one wanted; with `found` false nobody here is near enough.

    `similarity`: the nearest face's, None in an album without faces; `samples`: the faces of every sample picture.
    """

    found: bool
    similarity: float | None
    threshold: float
    samples: tuple[tuple[AlbumSampleFace, ...], ...]


@dataclass(frozen=True, slots=True)
class AlbumFound:
    """Answer of `search`: one page of photos, the most similar first, and the counts of all, whatever `show` says.

    `error_rate`: how often somebody who is not in the album is taken for somebody who is.
    """

    photos: tuple[AlbumFoundPhoto, ...]
    total: int
    solo: int
    group: int
    wanted: tuple[AlbumWantedSeen, ...]
    error_rate: float
