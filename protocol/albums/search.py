"""Searching for photos of one or several people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from facewire.protocol.albums.looking import AlbumPhotoEntry, Box, check_days
from facewire.protocol.errors import InvalidRequest
from facewire.protocol.rights import LOOKING, Needs
from facewire.protocol.schema import Asks, Length

Together = Literal["any", "all"]
ShowFound = Literal["all", "solo", "group"]
MatchedBy = Literal["face", "person"]
MAX_SEARCH_TEXT = 1000


@dataclass(frozen=True, slots=True)
class AlbumSample:
    """A picture of somebody; `leave_out`: indices, as in `detect`, of faces in it that are not meant."""

    image: bytes
    leave_out: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AlbumWanted:
    """A person to search for, given by pictures, by faces or by people of the album; matching any of them suffices."""

    samples: tuple[AlbumSample, ...] = ()
    faces: tuple[int, ...] = ()
    people: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not (self.samples or self.faces or self.people):
            raise InvalidRequest("each person to find needs 'samples', 'faces' or 'people'")


@dataclass(frozen=True, slots=True)
class AlbumSearch(Asks["AlbumFound"]):
    """Finds photos that show `any` or `all` of the wanted people; `solo` photos have one face, all others are `group`.

    `since`, `until`: as in `AlbumPhotos`. `text`: what the photo shows, in English, where `AlbumInfo.text_search` says
    that the server has a model for it. Without `wanted` it ranks all photos, else those that were found.
    """

    op: ClassVar[str] = "album.search"
    needs: ClassVar[Needs] = LOOKING
    repeatable: ClassVar[bool] = True
    album: str
    wanted: Annotated[tuple[AlbumWanted, ...], Length(0, 32)] = ()
    together: Together = "any"
    show: ShowFound = "all"
    offset: int = 0
    limit: int = 100
    since: str = ""
    until: str = ""
    text: str = ""

    def check(self) -> None:
        check_days(self.since, self.until)
        if not self.wanted and not self.text.strip():
            raise InvalidRequest("a search needs somebody 'wanted', or a 'text'")
        if len(self.text) > MAX_SEARCH_TEXT:
            raise InvalidRequest(f"'text' is longer than {MAX_SEARCH_TEXT} characters")


@dataclass(frozen=True, slots=True)
class AlbumMatch:
    """A face that matched `wanted` (an index in the request), by its own similarity or because its `person` did."""

    face: int
    box: Box
    wanted: int
    similarity: float
    person: int | None
    by: MatchedBy


@dataclass(frozen=True, slots=True)
class AlbumFoundPhoto:
    """A found photo. `similarity`: of its best match; with `all`, of the wanted person matched worst; of a search with
    a text, to the text."""

    photo: AlbumPhotoEntry
    similarity: float
    solo: bool
    matches: tuple[AlbumMatch, ...]


@dataclass(frozen=True, slots=True)
class AlbumSampleFace:
    """A face of a sample picture, and whether it was used."""

    box: Box
    used: bool


@dataclass(frozen=True, slots=True)
class AlbumWantedSeen:
    """The result for one wanted person; `found` is false if nobody in the album is similar enough.

    `similarity`: of the nearest face, None in an album without faces; `samples`: the faces of every sample picture.
    """

    found: bool
    similarity: float | None
    threshold: float
    samples: tuple[tuple[AlbumSampleFace, ...], ...]


@dataclass(frozen=True, slots=True)
class AlbumFound:
    """Answer of `search`: one page of photos, most similar first, and the counts of all, whatever `show` is.

    `error_rate`: the probability that somebody who is not in the album is taken for somebody who is.
    """

    photos: tuple[AlbumFoundPhoto, ...]
    total: int
    solo: int
    group: int
    wanted: tuple[AlbumWantedSeen, ...]
    error_rate: float
