"""Lists the photos, faces and people of an album page by page, and returns pictures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, ClassVar, Literal

from facewire.protocol.albums.collection import MAX_ALBUM_PAGE
from facewire.protocol.errors import InvalidRequest
from facewire.protocol.gallery_messages import MAX_NUMBER
from facewire.protocol.rights import LOOKING, Needs, any_of
from facewire.protocol.schema import Asks, Length, Range

PhotoState = Literal["waiting", "faces", "no_faces", "unreadable"]
TakenFrom = Literal["exif", "name", "file"]
Order = Literal["name", "taken", "days"]
Show = Literal["all", "waiting", "faces", "no_faces", "unreadable"]
PeopleShown = Literal["all", "named", "unnamed", "strangers"]
PeopleOrder = Literal["faces", "photos", "name", "seen"]
Once = Literal["with", "without", "only"]
Box = tuple[float, float, float, float]
MAX_FAVOURITES = 10_000  # marked by one request
MAX_PHOTO_READ = 4 * 1024 * 1024  # bytes per `album.photo_read`; far below any frame limit
PHOTO_READ = 1024 * 1024  # the default: few enough frames, little memory
MAX_THUMBNAIL = 4096  # pixels of a thumbnail's longer side: larger than most screens


@dataclass(frozen=True, slots=True)
class AlbumPhotos(Asks["AlbumPhotosListed"]):
    """Lists the photos: by name, from the first taken to the last, or by day, the newest first and each from its first
    photo to its last. `person`: only those that show this person; `favourites`: only those that are marked so.

    `contains`: only those of which a name, or the name of somebody in them who is not hidden, contains this, ignoring
    case and accents; or the photo of this number. `since`, `until`: only those taken on these days or between them,
    each YYYY-MM-DD or empty.
    """

    op: ClassVar[str] = "album.photos"
    needs: ClassVar[Needs] = LOOKING
    repeatable: ClassVar[bool] = True
    album: str
    show: Show = "all"
    person: int | None = None
    offset: int = 0
    limit: int = MAX_ALBUM_PAGE
    contains: str = ""
    order: Order = "name"
    since: str = ""
    until: str = ""
    favourites: bool = False

    def check(self) -> None:
        check_days(self.since, self.until)


def check_days(since: str, until: str) -> None:
    """Raises InvalidRequest unless each is a day as YYYY-MM-DD, or empty."""
    for key, day in (("since", since), ("until", until)):
        try:
            right = not day or date.fromisoformat(day).isoformat() == day
        except ValueError:
            right = False
        if not right:
            raise InvalidRequest(f"'{key}' must be a day, such as 2024-01-31")


@dataclass(frozen=True, slots=True)
class AlbumPhotoEntry:
    """A photo, or a video. `width`, `height`: upright; `reason`: why it is unreadable; `seconds`: the length of a
    video, None of a photo; `favourite`: see `AlbumFavourite`.

    `taken`: when, ISO 8601, by the clock of the place, with its offset from UTC if that is known; without a time of day
    if only the day is known, None if nothing is. `taken_from`: EXIF, the photo's name, or the time of its file.
    """

    photo: int
    name: str
    size_bytes: int
    width: int
    height: int
    state: PhotoState
    reason: str | None
    faces: int
    sha256: str
    seconds: float | None = None
    taken: str | None = None
    taken_from: TakenFrom | None = None
    favourite: bool = False


@dataclass(frozen=True, slots=True)
class AlbumPhotosListed:
    """Answer of `photos`."""

    photos: tuple[AlbumPhotoEntry, ...]
    total: int


@dataclass(frozen=True, slots=True)
class AlbumFavourite(Asks["AlbumFavourites"]):
    """Marks photos as favourites, or takes the mark away with `favourite` false."""

    op: ClassVar[str] = "album.favourite"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    photos: Annotated[tuple[int, ...], Length(1, MAX_FAVOURITES)]
    favourite: bool = True


@dataclass(frozen=True, slots=True)
class AlbumFavourites:
    """Answer of `favourite`: how many favourites the album has now."""

    favourites: int


@dataclass(frozen=True, slots=True)
class AlbumDays(Asks["AlbumDaysListed"]):
    """Lists the days on which photos were taken, newest first; of the photos that `AlbumPhotos` with the same keys
    lists."""

    op: ClassVar[str] = "album.days"
    needs: ClassVar[Needs] = LOOKING
    repeatable: ClassVar[bool] = True
    album: str
    person: int | None = None
    offset: int = 0
    limit: int = MAX_ALBUM_PAGE
    show: Show = "all"
    contains: str = ""
    since: str = ""
    until: str = ""
    favourites: bool = False

    def check(self) -> None:
        check_days(self.since, self.until)


@dataclass(frozen=True, slots=True)
class AlbumDay:
    """`day`: YYYY-MM-DD, or None for the photos of which nothing tells when they were taken, which come last; `photos`:
    how many; `photo`: the first of them."""

    day: str | None
    photos: int
    photo: int


@dataclass(frozen=True, slots=True)
class AlbumDaysListed:
    """Answer of `days`."""

    days: tuple[AlbumDay, ...]
    total: int


@dataclass(frozen=True, slots=True)
class AlbumPhoto(Asks["AlbumPicture"]):
    """Returns a photo: the original's bytes if `size` is 0, else an upright JPEG, its longer side at most `size`; of a
    video, the frame with its best face. An original that no frame can hold is read with `album.photo_read`."""

    op: ClassVar[str] = "album.photo"
    needs: ClassVar[Needs] = LOOKING
    repeatable: ClassVar[bool] = True
    album: str
    photo: int
    size: Annotated[int, Range(0, MAX_THUMBNAIL)] = 0


@dataclass(frozen=True, slots=True)
class AlbumPhotoRead(Asks["AlbumPhotoPiece"]):
    """Reads a piece of a photo's or a video's original, from `offset` on."""

    op: ClassVar[str] = "album.photo_read"
    needs: ClassVar[Needs] = LOOKING
    repeatable: ClassVar[bool] = True
    album: str
    photo: int
    offset: Annotated[int, Range(0, MAX_NUMBER)] = 0
    size: Annotated[int, Range(1, MAX_PHOTO_READ)] = PHOTO_READ


@dataclass(frozen=True, slots=True)
class AlbumPhotoPiece:
    """Answer of `photo_read`; shorter than requested only at the file's end. `size_bytes`: of the whole file; `type`:
    its MIME type; `width`, `height`: as shown."""

    data: bytes
    size_bytes: int
    type: str
    name: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class AlbumFace(Asks["AlbumPicture"]):
    """Returns a square JPEG around a face, `size` pixels wide."""

    op: ClassVar[str] = "album.face"
    needs: ClassVar[Needs] = LOOKING
    repeatable: ClassVar[bool] = True
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
    needs: ClassVar[Needs] = LOOKING
    repeatable: ClassVar[bool] = True
    album: str
    person: int | None = None
    photo: int | None = None
    offset: int = 0
    limit: int = MAX_ALBUM_PAGE


@dataclass(frozen=True, slots=True)
class AlbumFaceEntry:
    """A face; in a video, a person's best one. `person`: None until it is clustered; `placed`: a user has assigned it;
    `at`: at which second of a video, and `seen`: from when to when that person is in it.

    `drawn`: by hand, where the detector missed it. `embedded`: false if no face can be made out there, even
    closely; it is then neither found by search nor grouped by likeness, and `detection` is 0.
    """

    face: int
    photo: int
    box: Box
    detection: float
    person: int | None
    name: str | None
    placed: bool
    at: float | None = None
    seen: tuple[tuple[float, float], ...] = ()
    drawn: bool = False
    embedded: bool = True


@dataclass(frozen=True, slots=True)
class AlbumFacesListed:
    """Answer of `faces`."""

    faces: tuple[AlbumFaceEntry, ...]
    total: int


@dataclass(frozen=True, slots=True)
class AlbumPeople(Asks["AlbumPeopleListed"]):
    """Lists the people. `hidden`: list the hidden ones instead.

    `contains`: only those whose name contains this, ignoring case and accents, and the one of this number. `show`: only
    those with a name; those without, whom somebody may know; or those whom nobody knows. `order`: by number of `faces`,
    named people first; by number of `photos`; by `name`, those without one last, by their photos; or by when they were
    last `seen`. `once`: with, without or only the people without a name who are in a single photo.
    """

    op: ClassVar[str] = "album.people"
    needs: ClassVar[Needs] = LOOKING
    repeatable: ClassVar[bool] = True
    album: str
    hidden: bool = False
    offset: int = 0
    limit: int = MAX_ALBUM_PAGE
    contains: str = ""
    show: PeopleShown = "all"
    order: PeopleOrder = "faces"
    once: Once = "with"


@dataclass(frozen=True, slots=True)
class AlbumPerson:
    """A cluster of faces. `face`: the best one; `stranger`: a user said that nobody knows them; `seen`: the day of the
    last photo of them, YYYY-MM-DD, None where no day is known."""

    person: int
    name: str | None
    faces: int
    photos: int
    face: int
    hidden: bool
    stranger: bool = False
    seen: str | None = None


@dataclass(frozen=True, slots=True)
class AlbumPeopleListed:
    """Answer of `people`."""

    people: tuple[AlbumPerson, ...]
    total: int


@dataclass(frozen=True, slots=True)
class AlbumNames(Asks["AlbumNamesListed"]):
    """Lists the names given in `albums`, or in all, to people who are not hidden; most photos first. `contains`: only
    names that contain this, ignoring case and accents."""

    op: ClassVar[str] = "album.names"
    needs: ClassVar[Needs] = any_of("albums")
    repeatable: ClassVar[bool] = True
    contains: str = ""
    limit: Annotated[int, Range(1, MAX_ALBUM_PAGE)] = 20
    albums: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlbumName:
    """A name: in how many photos, and in how many albums."""

    name: str
    photos: int
    albums: int


@dataclass(frozen=True, slots=True)
class AlbumNamesListed:
    """Answer of `names`."""

    names: tuple[AlbumName, ...]
