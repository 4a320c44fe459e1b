"""`AlbumClient`: every operation on albums as a method; `FaceClient.albums` is one."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar

from facewire.client.asking import Asker
from facewire.client.connection import OnProgress
from facewire.client.errors import ServerRefused
from facewire.protocol.albums.adding import (
    AlbumAdd,
    AlbumAdded,
    AlbumAddZip,
    AlbumFolders,
    AlbumFoldersListed,
    AlbumImport,
    AlbumIngested,
    AlbumProcess,
    AlbumRemove,
    AlbumRemoved,
)
from facewire.protocol.albums.collection import (
    AlbumCreate,
    AlbumDelete,
    AlbumDeleted,
    AlbumInfo,
    AlbumList,
    AlbumRename,
    AlbumsListed,
    AlbumStatus,
)
from facewire.protocol.albums.correcting import (
    AlbumChanged,
    AlbumDifferent,
    AlbumEvent,
    AlbumHide,
    AlbumHistory,
    AlbumHistoryListed,
    AlbumLabel,
    AlbumMerge,
    AlbumMove,
    AlbumNot,
    AlbumSplit,
    AlbumSuggest,
    AlbumSuggested,
    AlbumUndo,
)
from facewire.protocol.albums.enrolling import AlbumEnrol, AlbumEnrolled, AlbumRecognise, AlbumRecognised
from facewire.protocol.albums.export import EXPORT_READ, AlbumExport, AlbumExported, AlbumExportRead
from facewire.protocol.albums.looking import (
    AlbumFace,
    AlbumFaceEntry,
    AlbumFaces,
    AlbumFacesListed,
    AlbumPeople,
    AlbumPeopleListed,
    AlbumPerson,
    AlbumPhoto,
    AlbumPhotoEntry,
    AlbumPhotos,
    AlbumPhotosListed,
    AlbumPicture,
    Show,
)
from facewire.protocol.albums.search import AlbumFound, AlbumSample, AlbumSearch, AlbumWanted, ShowFound, Together
from facewire.protocol.gallery_messages import Acceptable

ZIP_PIECE = 1024 * 1024  # bytes of an uploaded ZIP a frame: as `export_read` the other way
ADD_WINDOW = 8  # photos under way at once: what the server takes in of one connection

Item = TypeVar("Item")


class AlbumClient:
    """Albums of one server. Everything raises ClientError as FaceClient does; photos, faces and people are numbers.

    Where `on_progress` can be given, it is called in the thread that asks, while it waits.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    # ------------------------------------------------------------------------------------------ albums

    def create(self, album: str) -> AlbumInfo:
        """Creates an empty album."""
        return self._asker.ask(AlbumCreate(album))

    def list(self, offset: int = 0, limit: int | None = None) -> AlbumsListed:
        """One page of the albums, by name."""
        return self._asker.ask(AlbumList(offset, **_limited(limit)))

    def delete(self, album: str) -> AlbumDeleted:
        """Deletes an album with everything in it, for good."""
        return self._asker.ask(AlbumDelete(album))

    def rename(self, album: str, to: str) -> AlbumInfo:
        """Renames an album."""
        return self._asker.ask(AlbumRename(album, to))

    def status(self, album: str) -> AlbumInfo:
        """What is in it, and whether it is being processed."""
        return self._asker.ask(AlbumStatus(album))

    # ------------------------------------------------------------------------------------------ adding

    def add(self, album: str, name: str, image: bytes) -> AlbumAdded:
        """One photo; `name` is for people to read."""
        return self._asker.ask(AlbumAdd(album, name, image))

    def add_many(
        self, album: str, photos: Iterable[tuple[str, bytes]], *, window: int = ADD_WINDOW
    ) -> Iterator[AlbumAdded | ServerRefused]:
        """(name, image) of each; the answers in their order, up to `window` of them under way at once.

        A photo that the server refuses gives its error in its place; ClientErrors that concern all are raised.
        """
        return self._asker.ask_many((AlbumAdd(album, name, image) for name, image in photos), window=window)

    def add_zip(
        self,
        album: str,
        file: BinaryIO,
        *,
        on_sent: Callable[[int], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> AlbumIngested:
        """Every photo in a ZIP. `file` is read as it is sent; `on_sent` hears how many bytes have arrived."""
        upload, received, piece = "", 0, file.read(ZIP_PIECE)
        while True:
            following = file.read(ZIP_PIECE)
            last = not following
            taken = self._asker.ask(AlbumAddZip(album, piece, upload, received, last), on_progress if last else None)
            upload, received = taken.upload, taken.received
            if on_sent is not None:
                on_sent(received)
            if taken.ingested is not None:
                return taken.ingested
            piece = following

    def import_folder(self, album: str, folder: str, on_progress: OnProgress | None = None) -> AlbumIngested:
        """Every picture below a folder on the server's own disk."""
        return self._asker.ask(AlbumImport(album, folder), on_progress)

    def folders(self, folder: str = "") -> AlbumFoldersListed:
        """What lies in a folder that could be imported, and whether this server imports any."""
        return self._asker.ask(AlbumFolders(folder))

    def remove(self, album: str, photos: Sequence[int]) -> AlbumRemoved:
        """Deletes photos and their faces for good."""
        return self._asker.ask(AlbumRemove(album, tuple(photos)))

    def process(
        self, album: str, *, wait: bool = True, again: bool = False, on_progress: OnProgress | None = None
    ) -> AlbumInfo:
        """Finds and clusters the faces that wait; returns when that is done, or at once without `wait`."""
        return self._asker.ask(AlbumProcess(album, wait, again), on_progress)

    # ------------------------------------------------------------------------------------------ looking

    def photos(
        self, album: str, *, show: Show = "all", person: int | None = None, offset: int = 0, limit: int | None = None
    ) -> AlbumPhotosListed:
        """One page of the photos, by name."""
        return self._asker.ask(AlbumPhotos(album, show, person, offset, **_limited(limit)))

    def all_photos(self, album: str, *, show: Show = "all", person: int | None = None) -> Iterator[AlbumPhotoEntry]:
        """Every photo, page by page."""
        return _pages(lambda offset: self.photos(album, show=show, person=person, offset=offset).photos)

    def photo(self, album: str, photo: int, size: int = 0) -> AlbumPicture:
        """The original, or with `size` a JPEG whose longer side is at most that many pixels."""
        return self._asker.ask(AlbumPhoto(album, photo, size))

    def face(self, album: str, face: int, size: int = 160) -> AlbumPicture:
        """A square JPEG around a face."""
        return self._asker.ask(AlbumFace(album, face, size))

    def faces(
        self,
        album: str,
        *,
        person: int | None = None,
        photo: int | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> AlbumFacesListed:
        """One page of the faces of a person, of a photo, or all; the best first."""
        return self._asker.ask(AlbumFaces(album, person, photo, offset, **_limited(limit)))

    def all_faces(self, album: str, *, person: int | None = None, photo: int | None = None) -> Iterator[AlbumFaceEntry]:
        """Every face, page by page."""
        return _pages(lambda offset: self.faces(album, person=person, photo=photo, offset=offset).faces)

    def people(
        self, album: str, *, hidden: bool = False, offset: int = 0, limit: int | None = None
    ) -> AlbumPeopleListed:
        """One page of the people: the named first, then by their faces."""
        return self._asker.ask(AlbumPeople(album, hidden, offset, **_limited(limit)))

    def all_people(self, album: str, *, hidden: bool = False) -> Iterator[AlbumPerson]:
        """Everybody, page by page."""
        return _pages(lambda offset: self.people(album, hidden=hidden, offset=offset).people)

    # ------------------------------------------------------------------------------------------ correcting

    def label(self, album: str, person: int, name: str) -> AlbumChanged:
        """Names a person; another person's name merges the two, an empty one removes the name."""
        return self._asker.ask(AlbumLabel(album, person, name))

    def merge(self, album: str, people: Sequence[int]) -> AlbumChanged:
        """Merges people into one, who keeps the first one's number."""
        return self._asker.ask(AlbumMerge(album, tuple(people)))

    def split(self, album: str, person: int, faces: Sequence[int], name: str = "") -> AlbumChanged:
        """Makes a new person of some of a person's faces."""
        return self._asker.ask(AlbumSplit(album, person, tuple(faces), name))

    def move(self, album: str, faces: Sequence[int], person: int) -> AlbumChanged:
        """Moves faces to a person."""
        return self._asker.ask(AlbumMove(album, tuple(faces), person))

    def not_person(self, album: str, faces: Sequence[int], person: int) -> AlbumChanged:
        """Takes faces away from a person; clustering never puts them back."""
        return self._asker.ask(AlbumNot(album, tuple(faces), person))

    def different(self, album: str, one: int, other: int) -> AlbumChanged:
        """Notes that two people are different."""
        return self._asker.ask(AlbumDifferent(album, (one, other)))

    def hide(self, album: str, person: int, hidden: bool = True) -> AlbumChanged:
        """Leave a person out of lists and questions, or show them again."""
        return self._asker.ask(AlbumHide(album, person, hidden))

    def undo(self, album: str) -> AlbumChanged:
        """Takes the last correction back."""
        return self._asker.ask(AlbumUndo(album))

    def history(self, album: str, offset: int = 0, limit: int | None = None) -> AlbumHistoryListed:
        """One page of the corrections, newest first."""
        return self._asker.ask(AlbumHistory(album, offset, **_limited(limit)))

    def all_history(self, album: str) -> Iterator[AlbumEvent]:
        """Every correction, newest first, page by page."""
        return _pages(lambda offset: self.history(album, offset).events)

    def suggest(self, album: str, limit: int = 20) -> AlbumSuggested:
        """Who may be one person, those first whose answer settles most faces."""
        return self._asker.ask(AlbumSuggest(album, limit))

    def recognise(self, album: str, *, apply: bool = False) -> AlbumRecognised:
        """Which people without a name does the gallery know? With `apply` they get these names."""
        return self._asker.ask(AlbumRecognise(album, apply))

    def enrol(self, album: str, person: int, templates: int = 5, *, accept: Sequence[Acceptable] = ()) -> AlbumEnrolled:
        """Enrols a named person in the gallery with their best faces; `accept`: reasons not to leave one out for, "all"
        for none."""
        return self._asker.ask(AlbumEnrol(album, person, templates, tuple(accept)))

    # ------------------------------------------------------------------------------------------ finding

    def search(
        self,
        album: str,
        wanted: Sequence[AlbumWanted],
        *,
        together: Together = "any",
        show: ShowFound = "all",
        offset: int = 0,
        limit: int = 100,
    ) -> AlbumFound:
        """The photos that show any, or all, of the people in `wanted`."""
        return self._asker.ask(AlbumSearch(album, tuple(wanted), together, show, offset, limit))

    def search_samples(self, album: str, images: Sequence[bytes], **options: object) -> AlbumFound:
        """`search` for one person, by one or several pictures; `options` as there."""
        wanted = AlbumWanted(tuple(AlbumSample(image) for image in images))
        return self.search(album, [wanted], **options)  # type: ignore[arg-type]  # search's own keywords

    def export(
        self,
        album: str,
        *,
        people: Sequence[int] = (),
        photos: Sequence[int] = (),
        wanted: Sequence[AlbumWanted] = (),
        together: Together = "any",
        sidecars: bool = True,
    ) -> AlbumExported:
        """Prepares a ZIP of the album, of people's photos, of these photos, or of a search's results."""
        return self._asker.ask(AlbumExport(album, tuple(people), tuple(photos), tuple(wanted), together, sidecars))

    def read_export(self, export: AlbumExported, offset: int = 0) -> Iterator[bytes]:
        """The ZIP's bytes from `offset` on, piece by piece, as fast as the caller takes them."""
        while offset < export.size_bytes:
            piece = self._asker.ask(AlbumExportRead(export.export, offset, EXPORT_READ))
            offset += len(piece.data)
            yield piece.data

    def save_export(self, export: AlbumExported, path: Path, on_bytes: Callable[[int], None] | None = None) -> None:
        """Writes the ZIP to `path`, continuing where an earlier try stopped; `on_bytes` hears how far it is.

        Raises OSError when it can't be written.
        """
        part = path.with_name(f"{path.name}.{export.export[:12]}.part")
        with part.open("ab") as file:
            file.seek(0, io.SEEK_END)
            if file.tell() > export.size_bytes:
                file.truncate(0)
            if on_bytes is not None:
                on_bytes(file.tell())
            for data in self.read_export(export, file.tell()):
                file.write(data)
                if on_bytes is not None:
                    on_bytes(file.tell())
        part.replace(path)


def _limited(limit: int | None) -> dict[str, int]:
    """The protocol's own page where nothing is said."""
    return {} if limit is None else {"limit": limit}


def _pages(page: Callable[[int], Sequence[Item]]) -> Iterator[Item]:
    offset = 0
    while items := page(offset):
        yield from items
        offset += len(items)
