"""The vocabulary of `album.*`: collections of photographs, the people found in them, search and export.

An album is asked for by its name; photos, faces and people of an album by their numbers, which are never used again
for another. A *person* of an album is a cluster of faces, with a name once somebody has given one. Boxes are
x, y, width, height in pixels of the photo as shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from facewire.protocol.checks import in_range
from facewire.protocol.errors import InvalidRequest
from facewire.protocol.gallery_messages import MAX_ACCEPTED, MAX_IMAGES, Acceptable, Shortcoming

PhotoState = Literal["waiting", "faces", "no_faces", "unreadable"]
Show = Literal["all", "waiting", "faces", "no_faces", "unreadable"]
Together = Literal["any", "all"]
ShowFound = Literal["all", "solo", "group"]
MatchedBy = Literal["face", "person"]

Box = tuple[float, float, float, float]

MAX_ALBUM_PAGE = 1000  # `limit` of lists: a page of photos is then some 250 KB
MAX_EXPORT_READ = 4 * 1024 * 1024  # bytes of one `album.export_read`; far below any frame limit
EXPORT_READ = 1024 * 1024  # as much as is asked for where nothing is said: few enough frames, little memory
MAX_FOLDERS = 1000  # listed by one `album.folders`: more than a person looks through
MAX_THUMBNAIL = 4096  # pixels of a thumbnail's longer side: more than a screen has
_NUMBERS = 2**53  # what every language's numbers hold


class _Paged:
    """What asks for a page of a list."""

    __slots__ = ()
    offset: int
    limit: int

    def __post_init__(self) -> None:
        in_range("offset", self.offset, 0, _NUMBERS)
        in_range("limit", self.limit, 1, MAX_ALBUM_PAGE)


class _OfFaces:
    """What is said of one face at least."""

    __slots__ = ()
    faces: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.faces:
            raise InvalidRequest("'faces' must name one at least")


# ---------------------------------------------------------------------------------------------- albums


@dataclass(frozen=True, slots=True)
class AlbumCreate(Asks["AlbumInfo"]):
    """A new, empty album."""

    op: ClassVar[str] = "album.create"
    album: str


@dataclass(frozen=True, slots=True)
class AlbumList(Asks["AlbumsListed"]):
    """Every album, by name."""

    op: ClassVar[str] = "album.list"
    offset: int = 0
    limit: int = MAX_ALBUM_PAGE


@dataclass(frozen=True, slots=True)
class AlbumDelete(Asks["AlbumDeleted"]):
    """The album with its photos, faces, people and history, for good. The gallery keeps who was enrolled from it."""

    op: ClassVar[str] = "album.delete"
    album: str


@dataclass(frozen=True, slots=True)
class AlbumRename(Asks["AlbumInfo"]):
    """Another name for an album."""

    op: ClassVar[str] = "album.rename"
    album: str
    to: str


@dataclass(frozen=True, slots=True)
class AlbumStatus(Asks["AlbumInfo"]):
    """What is in the album, and whether it is being processed."""

    op: ClassVar[str] = "album.status"
    album: str


@dataclass(frozen=True, slots=True)
class AlbumInfo:
    """Answer of `create`, `rename`, `status` and `process`: one album.

    `size_bytes`: of the originals; `photos` is `waiting` + `with_faces` + `without_faces` + `unreadable`; `people` are
    those not hidden, `named` those of them with a name; `undo` says what `album.undo` would undo; `adding`: a ZIP or a
    folder is being added.
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


@dataclass(frozen=True, slots=True)
class AlbumsListed:
    """Answer of `list`."""

    albums: tuple[AlbumInfo, ...]
    total: int


@dataclass(frozen=True, slots=True)
class AlbumDeleted:
    """Answer of `delete`: what it held."""

    album: str
    photos: int


# ---------------------------------------------------------------------------------------------- adding


@dataclass(frozen=True, slots=True)
class AlbumAdd(Asks["AlbumAdded"]):
    """A photo. `name`: a relative name, folders and all, for people to read; it never becomes a path."""

    op: ClassVar[str] = "album.add"
    album: str
    name: str
    image: bytes


@dataclass(frozen=True, slots=True)
class AlbumAdded:
    """Answer of `add`: kept, on disk. `duplicate`: the album had these bytes already, as this `photo`."""

    photo: int
    name: str
    duplicate: bool
    sha256: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class AlbumAddZip(Asks["AlbumZipTaken"]):
    """A piece of a ZIP file. The first has no `upload`; its answer gives one, which the others name.

    `offset`: where the piece belongs. A piece sent again is harmless, so an upload continues after a lost connection
    at what the last answer called `received`. With `last` the photos in it are added, which goes on when nobody listens
    and after a restart; progress is reported. The last piece sent again follows that, or says what came of it.
    """

    op: ClassVar[str] = "album.add_zip"
    album: str
    data: bytes
    upload: str = ""
    offset: int = 0
    last: bool = False

    def __post_init__(self) -> None:
        in_range("offset", self.offset, 0, _NUMBERS)


@dataclass(frozen=True, slots=True)
class AlbumImport(Asks["AlbumIngested"]):
    """Every picture below a folder on the server's own disk, named relative to the root that the server allows.

    Progress is reported. It goes on when nobody listens, and after a restart.
    """

    op: ClassVar[str] = "album.import"
    album: str
    folder: str


@dataclass(frozen=True, slots=True)
class AlbumFolders(Asks["AlbumFoldersListed"]):
    """What `import` could be asked for: the folders in `folder`, relative to the root that the server allows."""

    op: ClassVar[str] = "album.folders"
    folder: str = ""


@dataclass(frozen=True, slots=True)
class AlbumFoldersListed:
    """Answer of `folders`. `allowed`: does this server import folders at all? If not, the rest is empty. `folders`: the
    names of the first thousand of `total`; `pictures`: how many files that look like one lie in `folder` itself."""

    allowed: bool
    folders: tuple[str, ...]
    total: int
    pictures: int


@dataclass(frozen=True, slots=True)
class AlbumSkipped:
    """A file that was not added, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class AlbumIngested:
    """What became of many files. `skipped` lists the first thousand of `skipped_total`; `left_out` counts service files
    and folders (@eaDir, Thumbs.db), whose contents nobody looked at."""

    added: int
    duplicates: int
    skipped: tuple[AlbumSkipped, ...]
    skipped_total: int
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class AlbumZipTaken:
    """Answer of `add_zip`: the bytes `received` so far; `ingested` once it was the last piece."""

    upload: str
    received: int
    ingested: AlbumIngested | None = None


@dataclass(frozen=True, slots=True)
class AlbumRemove(Asks["AlbumRemoved"]):
    """Takes photos out of the album, with their faces, for good."""

    op: ClassVar[str] = "album.remove"
    album: str
    photos: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AlbumRemoved:
    """Answer of `remove`."""

    photos: int
    faces: int


@dataclass(frozen=True, slots=True)
class AlbumProcess(Asks["AlbumInfo"]):
    """Finds, embeds and clusters the faces of waiting photos; goes on when nobody listens, and after a restart.

    With `wait` progress is reported until it is done: `stage` is "waiting" (for another album), "faces" or "people";
    without, the answer comes at once. `again`: the unreadable ones too.
    """

    op: ClassVar[str] = "album.process"
    album: str
    wait: bool = True
    again: bool = False


# ---------------------------------------------------------------------------------------------- looking


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
    size: int = 0

    def __post_init__(self) -> None:
        in_range("size", self.size, 0, MAX_THUMBNAIL)


@dataclass(frozen=True, slots=True)
class AlbumFace(Asks["AlbumPicture"]):
    """A square JPEG around one face, `size` pixels wide."""

    op: ClassVar[str] = "album.face"
    album: str
    face: int
    size: int = 160

    def __post_init__(self) -> None:
        in_range("size", self.size, 16, 1024)


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


# ---------------------------------------------------------------------------------------------- correcting


@dataclass(frozen=True, slots=True)
class AlbumLabel(Asks["AlbumChanged"]):
    """Names or renames a person; the name of another person merges the two; an empty one takes the name away."""

    op: ClassVar[str] = "album.label"
    album: str
    person: int
    name: str


@dataclass(frozen=True, slots=True)
class AlbumMerge(Asks["AlbumChanged"]):
    """These people are one: the first of them keeps its number, and its name or the first that there is."""

    op: ClassVar[str] = "album.merge"
    album: str
    people: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(set(self.people)) < 2:
            raise InvalidRequest("'people' must name two people at least")


@dataclass(frozen=True, slots=True)
class AlbumSplit(Asks["AlbumChanged"]):
    """These faces of a person are somebody else: a new person, called `name` if that is given."""

    op: ClassVar[str] = "album.split"
    album: str
    person: int
    faces: tuple[int, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class AlbumMove(Asks["AlbumChanged"]):
    """These faces are of that person."""

    op: ClassVar[str] = "album.move"
    album: str
    faces: tuple[int, ...]
    person: int


@dataclass(frozen=True, slots=True)
class AlbumNot(Asks["AlbumChanged"]):
    """These faces are not of that person: they leave, and clustering never brings them back."""

    op: ClassVar[str] = "album.not"
    album: str
    faces: tuple[int, ...]
    person: int


@dataclass(frozen=True, slots=True)
class AlbumDifferent(Asks["AlbumChanged"]):
    """These two people are not one ("no" to a suggestion): they are neither merged nor suggested again."""

    op: ClassVar[str] = "album.different"
    album: str
    people: tuple[int, int]

    def __post_init__(self) -> None:
        if self.people[0] == self.people[1]:
            raise InvalidRequest("'people' must name two people")


@dataclass(frozen=True, slots=True)
class AlbumHide(Asks["AlbumChanged"]):
    """A person nobody asks about (a passer-by), or, with `hidden` false, one to be shown again."""

    op: ClassVar[str] = "album.hide"
    album: str
    person: int
    hidden: bool = True


@dataclass(frozen=True, slots=True)
class AlbumUndo(Asks["AlbumChanged"]):
    """Takes back the last correction that has not been taken back."""

    op: ClassVar[str] = "album.undo"
    album: str


@dataclass(frozen=True, slots=True)
class AlbumChanged:
    """Answer of every correction: its number in the history, what was done, and those concerned as they are now."""

    event: int
    done: str
    people: tuple[AlbumPerson, ...]


@dataclass(frozen=True, slots=True)
class AlbumHistory(Asks["AlbumHistoryListed"]):
    """The corrections, newest first."""

    op: ClassVar[str] = "album.history"
    album: str
    offset: int = 0
    limit: int = MAX_ALBUM_PAGE


@dataclass(frozen=True, slots=True)
class AlbumEvent:
    """A correction; `at`: ISO 8601, UTC."""

    event: int
    at: str
    done: str
    undone: bool


@dataclass(frozen=True, slots=True)
class AlbumHistoryListed:
    """Answer of `history`."""

    events: tuple[AlbumEvent, ...]
    total: int


@dataclass(frozen=True, slots=True)
class AlbumSuggest(Asks["AlbumSuggested"]):
    """Who may be one person? Those first whose answer settles most faces."""

    op: ClassVar[str] = "album.suggest"
    album: str
    limit: int = 20

    def __post_init__(self) -> None:
        in_range("limit", self.limit, 1, MAX_ALBUM_PAGE)


@dataclass(frozen=True, slots=True)
class AlbumSuggestion:
    """Answer it with `album.merge` or `album.different`; `faces`: how many it settles."""

    one: AlbumPerson
    other: AlbumPerson
    similarity: float
    faces: int


@dataclass(frozen=True, slots=True)
class AlbumSuggested:
    """Answer of `suggest`."""

    suggestions: tuple[AlbumSuggestion, ...]


# ---------------------------------------------------------------------------------------------- gallery


@dataclass(frozen=True, slots=True)
class AlbumRecognise(Asks["AlbumRecognised"]):
    """Which people without a name does the gallery know? With `apply` they get these names, as one correction."""

    op: ClassVar[str] = "album.recognise"
    album: str
    apply: bool = False


@dataclass(frozen=True, slots=True)
class AlbumRecognition:
    """The gallery's name for a person of the album."""

    person: int
    name: str
    similarity: float
    threshold: float


@dataclass(frozen=True, slots=True)
class AlbumRecognised:
    """Answer of `recognise`; `event`: the correction's number where one was made."""

    matches: tuple[AlbumRecognition, ...]
    event: int | None


@dataclass(frozen=True, slots=True)
class AlbumEnrol(Asks["AlbumEnrolled"]):
    """Enrols a named person of the album in the gallery, with at most `templates` of their best faces.

    They pass the same gate as pictures that are enrolled by `enrol`; `accept` as there.
    """

    op: ClassVar[str] = "album.enrol"
    album: str
    person: int
    templates: int = 5
    accept: tuple[Acceptable, ...] = ()

    def __post_init__(self) -> None:
        in_range("templates", self.templates, 1, MAX_IMAGES)
        in_range("accept", len(self.accept), 0, MAX_ACCEPTED)


@dataclass(frozen=True, slots=True)
class AlbumLeftOut:
    """A face that was not enrolled, and the name of its photo; the rest as in `Rejection`."""

    face: int
    photo: str
    reason: str
    message: str
    shortcomings: tuple[Shortcoming, ...] = ()


@dataclass(frozen=True, slots=True)
class AlbumEnrolled:
    """Answer of `enrol`: how many templates the gallery has of them now, and which faces it did not take."""

    name: str
    templates: int
    left_out: tuple[AlbumLeftOut, ...] = ()


# ---------------------------------------------------------------------------------------------- search


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
    wanted: tuple[AlbumWanted, ...]
    together: Together = "any"
    show: ShowFound = "all"
    offset: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        in_range("the number of 'wanted'", len(self.wanted), 1, 32)
        _Paged.__post_init__(self)


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


# ---------------------------------------------------------------------------------------------- export


@dataclass(frozen=True, slots=True)
class AlbumExport(Asks["AlbumExported"]):
    """Prepares a ZIP of originals: of the whole album, of `people`'s photos (`any` or `all` of them), of these
    `photos`, or of what a search for `wanted` finds. `sidecars`: an XMP file beside every photo with names in it, and
    one labels.json. Read it with `album.export_read`.
    """

    op: ClassVar[str] = "album.export"
    album: str
    people: tuple[int, ...] = ()
    photos: tuple[int, ...] = ()
    wanted: tuple[AlbumWanted, ...] = ()
    together: Together = "any"
    sidecars: bool = True

    def __post_init__(self) -> None:
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
    """A piece of the ZIP, from any `offset`: in any order, again, or after a restart of either side."""

    op: ClassVar[str] = "album.export_read"
    export: str
    offset: int = 0
    size: int = EXPORT_READ

    def __post_init__(self) -> None:
        in_range("offset", self.offset, 0, _NUMBERS)
        in_range("size", self.size, 1, MAX_EXPORT_READ)


@dataclass(frozen=True, slots=True)
class AlbumExportPiece:
    """Answer of `export_read`; shorter than asked for only at the ZIP's end. `size_bytes`: of the whole ZIP."""

    data: bytes
    size_bytes: int


# ---------------------------------------------------------------------------------------------- all of them
