"""Photos into albums and out of them: one by one, in ZIPs, from the server's own folders; processing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from facewire.protocol.albums.collection import AlbumInfo
from facewire.protocol.asks import Asks, Range
from facewire.protocol.gallery_messages import MAX_NUMBER

MAX_FOLDERS = 1000  # listed by one `album.folders`: more than a person looks through


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
    offset: Annotated[int, Range(0, MAX_NUMBER)] = 0
    last: bool = False


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
class AlbumProcess(Asks[AlbumInfo]):
    """Finds, embeds and clusters the faces of waiting photos; goes on when nobody listens, and after a restart.

    With `wait` progress is reported until it is done: `stage` is "waiting" (for another album), "faces" or "people";
    without, the answer comes at once. `again`: the unreadable ones too.
    """

    op: ClassVar[str] = "album.process"
    album: str
    wait: bool = True
    again: bool = False
