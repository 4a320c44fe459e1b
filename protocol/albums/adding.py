"""Adding photos to albums, one by one, in ZIPs or from the server's own folders; removing photos; processing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from facewire.protocol.albums.collection import AlbumInfo
from facewire.protocol.errors import InvalidRequest
from facewire.protocol.gallery_messages import MAX_NUMBER
from facewire.protocol.rights import Needs, any_of
from facewire.protocol.schema import Asks, Range

MAX_SIDECARS = 4  # XMP files of one photo: programs differ in what they call them
LARGEST_SIDECAR = 2 * 1024 * 1024  # bytes: a hundred times as much as a photo with many faces has; others say nothing
MAX_FOLDERS = 1000  # listed by one `album.folders`: more than anybody looks through


@dataclass(frozen=True, slots=True)
class AlbumAdd(Asks["AlbumAdded"]):
    """Adds a photo. `name`: a relative name, perhaps with folders, for display only; it is never used as a path.

    `modified`: the time of its file, ISO 8601, with the zone if that is known; it counts where neither the picture nor
    its name tells when it was taken.

    `metadata`: take the faces that its XMP names (MWG and Microsoft regions), and those that `sidecars`, the XMP files
    beside it, name. They become faces and people when the album is processed.
    """

    op: ClassVar[str] = "album.add"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    name: str
    image: bytes
    modified: str = ""
    metadata: bool = False
    sidecars: tuple[bytes, ...] = ()

    def check(self) -> None:
        if len(self.sidecars) > MAX_SIDECARS:
            raise InvalidRequest(f"'sidecars' must be {MAX_SIDECARS} at most")


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
    returns the result. `metadata` of the last piece counts: as in `AlbumAdd`, with the XMP files in the ZIP.
    """

    op: ClassVar[str] = "album.add_zip"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    data: bytes
    upload: str = ""
    offset: Annotated[int, Range(0, MAX_NUMBER)] = 0
    last: bool = False
    metadata: bool = False


@dataclass(frozen=True, slots=True)
class AlbumAddVideo(Asks["AlbumVideoTaken"]):
    """Sends a piece of a video, which may be larger than a frame; `size`: of the whole file, in bytes.

    The first piece has no `upload`; its answer returns one for the others to use. `offset`: of the piece in the file.
    Sending a piece again is harmless, so after a lost connection an upload continues from `received` of the last
    answer. With the piece that completes it, the video is added as `AlbumAdd` adds it, and progress is reported; this
    continues without a client and after a restart. Sending that piece again follows the progress or returns the result.
    `name` and `modified` of that piece count: as in `AlbumAdd`.
    """

    op: ClassVar[str] = "album.add_video"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    name: str
    size: Annotated[int, Range(1, MAX_NUMBER)]
    data: bytes
    upload: str = ""
    offset: Annotated[int, Range(0, MAX_NUMBER)] = 0
    modified: str = ""

    def check(self) -> None:
        if self.offset + len(self.data) > self.size:
            raise InvalidRequest("the piece ends behind the 'size' of the video")


@dataclass(frozen=True, slots=True)
class AlbumVideoTaken:
    """Answer of `add_video`: the bytes `received` so far; `added` after the last piece."""

    upload: str
    received: int
    added: AlbumAdded | None = None


@dataclass(frozen=True, slots=True)
class AlbumImport(Asks["AlbumIngested"]):
    """Adds every picture below a folder on the server's own disk, given relative to the server's import root.

    Progress is reported. The import continues without a client and after a restart. `metadata`: as in `AlbumAdd`, with
    the XMP files beside the pictures.
    """

    op: ClassVar[str] = "album.import"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    folder: str
    metadata: bool = False


@dataclass(frozen=True, slots=True)
class AlbumFolders(Asks["AlbumFoldersListed"]):
    """Lists the folders in `folder`, relative to the server's import root, for use with `import`."""

    op: ClassVar[str] = "album.folders"
    needs: ClassVar[Needs] = any_of("albums")
    repeatable: ClassVar[bool] = True
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
    needs: ClassVar[Needs] = any_of("albums")
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
    Without, the answer comes at once. `again`: retry unreadable photos, too. `provisional`: more photos are to come, so
    the people found are provisional: the next processing without it groups their faces anew. Users' corrections stay.
    """

    op: ClassVar[str] = "album.process"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    wait: bool = True
    again: bool = False
    provisional: bool = False
