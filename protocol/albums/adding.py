"""Adding photos to albums, one by one, in ZIPs or from the server's own folders; removing photos; processing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from facewire.protocol.albums.collection import AlbumInfo
from facewire.protocol.asks import Asks, Range
from facewire.protocol.gallery_messages import MAX_NUMBER

MAX_FOLDERS = 1000  # listed by one `album.folders`: more than anybody looks through


@dataclass(frozen=True, slots=True)
class AlbumAdd(Asks["AlbumAdded"]):
    """Adds a photo. `name`: a relative name, perhaps with folders, for display only; it is never used as a path."""

    op: ClassVar[str] = "album.add"
    album: str
    name: str
    image: bytes


@dataclass(frozen=True, slots=True)
class AlbumAdded:
    """Answer of `add`: the photo is on disk. `duplicate`: the album already had these bytes, as `photo`."""

    photo: int
    name: str
    duplicate: bool
    sha256: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class AlbumAddZip(Asks["AlbumZipTaken"]):
    """Sends a piece of a ZIP file. The first has no `upload`; its answer returns one for the others to use.

    `offset`: of the piece in the file. Sending a piece again is harmless, so after a lost connection an upload
    continues from `received` of the last answer. With `last`, the photos in the ZIP are added, and progress is
    reported; this continues without a client and after a restart. Sending the last piece again follows the progress or
    returns the result.
    """

    op: ClassVar[str] = "album.add_zip"
    album: str
    data: bytes
    upload: str = ""
    offset: Annotated[int, Range(0, MAX_NUMBER)] = 0
    last: bool = False


@dataclass(frozen=True, slots=True)
class AlbumImport(Asks["AlbumIngested"]):
    """Adds every picture below a folder on the server's own disk, given relative to the server's import root.

    Progress is reported. The import continues without a client and after a restart.
    """

    op: ClassVar[str] = "album.import"
    album: str
    folder: str


@dataclass(frozen=True, slots=True)
class AlbumFolders(Asks["AlbumFoldersListed"]):
    """Lists the folders in `folder`, relative to the server's import root, for use with `import`."""

    op: ClassVar[str] = "album.folders"
    folder: str = ""


@dataclass(frozen=True, slots=True)
class AlbumFoldersListed:
    """Answer of `folders`. `allowed`: does this server allow imports? If not, the rest is empty. `folders`: the first
    thousand names of `total`; `pictures`: number of files directly in `folder` that look like pictures."""

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
    """Counts of files by outcome. `skipped` lists the first thousand of `skipped_total`; `left_out` counts ignored
    service files and folders (Thumbs.db, @eaDir)."""

    added: int
    duplicates: int
    skipped: tuple[AlbumSkipped, ...]
    skipped_total: int
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class AlbumZipTaken:
    """Answer of `add_zip`: the bytes `received` so far; `ingested` after the last piece."""

    upload: str
    received: int
    ingested: AlbumIngested | None = None


@dataclass(frozen=True, slots=True)
class AlbumRemove(Asks["AlbumRemoved"]):
    """Removes photos and their faces from the album permanently."""

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
    """Finds, embeds and clusters the faces of waiting photos. Continues without a client and after a restart.

    With `wait`, progress is reported until it is done: `stage` is "waiting" (for another album), "faces" or "people".
    Without, the answer comes at once. `again`: retry unreadable photos, too.
    """

    op: ClassVar[str] = "album.process"
    album: str
    wait: bool = True
    again: bool = False
