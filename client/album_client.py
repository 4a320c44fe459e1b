"""`AlbumClient`: every operation on albums as a method; `FaceClient.albums` is one."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypedDict, TypeVar, Unpack

from facewire.client.album_files import OnBytes, is_large_video, read_export, save_export, send_video, send_zip
from facewire.client.errors import ServerRefused
from facewire.client.transport import OnProgress, Transport
from facewire.protocol.albums.adding import (
    AlbumAdd,
    AlbumAdded,
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
    AlbumStranger,
    AlbumSuggest,
    AlbumSuggested,
    AlbumUndo,
)
from facewire.protocol.albums.drawing import AlbumDrawFace, AlbumDrawn, AlbumRedrawFace, AlbumRemoveFace
from facewire.protocol.albums.enrolling import AlbumEnrol, AlbumEnrolled, AlbumRecognise, AlbumRecognised
from facewire.protocol.albums.export import AlbumExport, AlbumExported
from facewire.protocol.albums.looking import (
    AlbumDay,
    AlbumDays,
    AlbumDaysListed,
    AlbumFace,
    AlbumFaceEntry,
    AlbumFaces,
    AlbumFacesListed,
    AlbumFavourite,
    AlbumFavourites,
    AlbumNames,
    AlbumNamesListed,
    AlbumPeople,
    AlbumPeopleListed,
    AlbumPerson,
    AlbumPhoto,
    AlbumPhotoEntry,
    AlbumPhotoPiece,
    AlbumPhotoRead,
    AlbumPhotos,
    AlbumPhotosListed,
    AlbumPicture,
    Box,
    Once,
    Order,
    PeopleOrder,
    PeopleShown,
    Show,
)
from facewire.protocol.albums.search import AlbumFound, AlbumSample, AlbumSearch, AlbumWanted, ShowFound, Together
from facewire.protocol.gallery_messages import Acceptable

ADD_WINDOW = 8  # photos under way at once: what the server takes in of one connection

Item = TypeVar("Item")
PhotoToAdd = tuple[str, bytes] | tuple[str, bytes, str] | tuple[str, bytes, str, bool, tuple[bytes, ...]]


class WhichPhotos(TypedDict, total=False):
    """Which photos, and `person`: that this person is in. `contains`: of which a name, or somebody's in them, contains
    this; `since`, `until`: of these days, YYYY-MM-DD; `favourites`: marked so. Without a key, as `AlbumPhotos` says."""

    show: Show
    person: int | None
    contains: str
    since: str
    until: str
    favourites: bool


class WhichPeople(TypedDict, total=False):
    """Which people, and in which order. `contains`: whose name contains this; `once`: with, without or only those
    without a name who are in a single photo. Without a key, as `AlbumPeople` says."""

    hidden: bool
    contains: str
    show: PeopleShown
    order: PeopleOrder
    once: Once


class AlbumClient:
    """Albums of one server. Everything raises ClientError as FaceClient does; photos, faces and people are numbers.

    Where `on_progress` can be given, it is called in the thread that asks, while it waits.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._ask = transport.ask

    # ------------------------------------------------------------------------------------------ albums

    def create(self, album: str) -> AlbumInfo:
        """Creates an empty album."""
        return self._ask(AlbumCreate(album))

    def list(self, offset: int = 0, limit: int | None = None, *, contains: str = "") -> AlbumsListed:
        """One page of the albums, by name; `contains`: those whose name contains this, ignoring case and accents."""
        return self._ask(AlbumList(offset, **_limited(limit), contains=contains))

    def delete(self, album: str) -> AlbumDeleted:
        """Deletes an album and everything in it, permanently."""
        return self._ask(AlbumDelete(album))

    def rename(self, album: str, to: str) -> AlbumInfo:
        """Renames an album."""
        return self._ask(AlbumRename(album, to))

    def status(self, album: str) -> AlbumInfo:
        """What is in it, and whether it is being processed."""
        return self._ask(AlbumStatus(album))

    # ------------------------------------------------------------------------------------------ adding

    def add(
        self,
        album: str,
        name: str,
        image: bytes,
        *,
        modified: str = "",
        metadata: bool = False,
        sidecars: Sequence[bytes] = (),
    ) -> AlbumAdded:
        """One photo or video; `name` is for people to read; `modified`: the file's time, ISO 8601; `metadata`: take the
        names of faces from its XMP, and from the XMP files beside it, `sidecars`. A large video is sent in pieces."""
        if is_large_video(image, len(image)):
            return self.add_video(album, name, io.BytesIO(image), len(image), modified=modified)
        return self._ask(AlbumAdd(album, name, image, modified, metadata, tuple(sidecars)))

    def add_video(
        self,
        album: str,
        name: str,
        file: BinaryIO,
        size: int,
        *,
        modified: str = "",
        on_sent: OnBytes | None = None,
        on_progress: OnProgress | None = None,
    ) -> AlbumAdded:
        """A video of `size` bytes, however large. `file` is read as it is sent, from where it stands; `on_sent` hears
        how many bytes have arrived. Raises EOFError for a file that is shorter."""
        return send_video(self._transport, album, name, file, size, modified, on_sent, on_progress)

    def add_many(
        self, album: str, photos: Iterable[PhotoToAdd], *, window: int = ADD_WINDOW
    ) -> Iterator[AlbumAdded | ServerRefused]:
        """(name, image) of each, perhaps followed by what `add` takes besides, in its order; the answers in that of
        the photos, up to `window` of them under way at once. A large video is sent alone, in pieces.

        A photo that the server refuses gives its error in its place; ClientErrors that concern all are raised.
        """
        left, video = iter(photos), list[PhotoToAdd]()

        def bodies() -> Iterator[AlbumAdd]:
            for photo in left:
                if is_large_video(photo[1], len(photo[1])):
                    video.append(photo)
                    return
                yield AlbumAdd(album, *photo)

        while True:
            yield from self._transport.ask_many(bodies(), window=window)
            if not video:
                return
            name, data, *more = video.pop()
            try:
                yield self.add(album, name, data, modified=str(more[0]) if more else "")
            except ServerRefused as error:
                yield error

    def add_zip(
        self,
        album: str,
        file: BinaryIO,
        *,
        metadata: bool = False,
        on_sent: OnBytes | None = None,
        on_progress: OnProgress | None = None,
    ) -> AlbumIngested:
        """Every photo in a ZIP. `file` is read as it is sent; `on_sent` hears how many bytes have arrived; `metadata`:
        take the names of faces from the photos' XMP, in them and beside them."""
        return send_zip(self._transport, album, file, metadata, on_sent, on_progress)

    def import_folder(
        self, album: str, folder: str, on_progress: OnProgress | None = None, *, metadata: bool = False
    ) -> AlbumIngested:
        """Every picture below a folder on the server's own disk; `metadata`: take the names of faces from their XMP, in
        them and beside them."""
        return self._ask(AlbumImport(album, folder, metadata), on_progress)

    def folders(self, folder: str = "") -> AlbumFoldersListed:
        """What lies in a folder that could be imported, and whether this server imports any."""
        return self._ask(AlbumFolders(folder))

    def remove(self, album: str, photos: Sequence[int]) -> AlbumRemoved:
        """Deletes photos and their faces for good."""
        return self._ask(AlbumRemove(album, tuple(photos)))

    def process(
        self, album: str, *, wait: bool = True, again: bool = False, provisional: bool = False,
        on_progress: OnProgress | None = None,
    ) -> AlbumInfo:  # fmt: skip
        """Finds and clusters the faces that wait; returns when that is done, or at once without `wait`. `provisional`:
        more photos are to come, and the next processing without it groups their faces anew."""
        return self._ask(AlbumProcess(album, wait, again, provisional), on_progress)

    # ------------------------------------------------------------------------------------------ looking

    def photos(
        self,
        album: str,
        *,
        offset: int = 0,
        limit: int | None = None,
        order: Order = "name",
        **which: Unpack[WhichPhotos],
    ) -> AlbumPhotosListed:
        """One page of the photos, by name, by when they were taken, or by day, the newest first."""
        return self._ask(AlbumPhotos(album, offset=offset, order=order, **_limited(limit), **which))

    def all_photos(
        self, album: str, *, order: Order = "name", **which: Unpack[WhichPhotos]
    ) -> Iterator[AlbumPhotoEntry]:
        """Every photo, page by page."""
        return _pages(lambda offset: self.photos(album, offset=offset, order=order, **which).photos)

    def days(
        self, album: str, *, offset: int = 0, limit: int | None = None, **which: Unpack[WhichPhotos]
    ) -> AlbumDaysListed:
        """One page of the days on which photos were taken, newest first; only of photos as in `photos`."""
        return self._ask(AlbumDays(album, offset=offset, **_limited(limit), **which))

    def all_days(self, album: str, **which: Unpack[WhichPhotos]) -> Iterator[AlbumDay]:
        """Every day, newest first, page by page."""
        return _pages(lambda offset: self.days(album, offset=offset, **which).days)

    def photo(self, album: str, photo: int, size: int = 0) -> AlbumPicture:
        """The original, or with `size` a JPEG whose longer side is at most that many pixels."""
        return self._ask(AlbumPhoto(album, photo, size))

    def read_photo(self, album: str, photo: int, offset: int = 0) -> Iterator[AlbumPhotoPiece]:
        """The original from `offset` on, piece by piece, as fast as the caller takes them; at least one."""
        while True:
            piece = self._ask(AlbumPhotoRead(album, photo, offset))
            yield piece
            offset += len(piece.data)
            if offset >= piece.size_bytes or not piece.data:
                return

    def favourite(self, album: str, photos: Sequence[int], favourite: bool = True) -> AlbumFavourites:
        """Marks photos as favourites, or takes the mark away."""
        return self._ask(AlbumFavourite(album, tuple(photos), favourite))

    def face(self, album: str, face: int, size: int = 160) -> AlbumPicture:
        """A square JPEG around a face."""
        return self._ask(AlbumFace(album, face, size))

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
        return self._ask(AlbumFaces(album, person, photo, offset, **_limited(limit)))

    def all_faces(self, album: str, *, person: int | None = None, photo: int | None = None) -> Iterator[AlbumFaceEntry]:
        """Every face, page by page."""
        return _pages(lambda offset: self.faces(album, person=person, photo=photo, offset=offset).faces)

    def people(
        self, album: str, *, offset: int = 0, limit: int | None = None, **which: Unpack[WhichPeople]
    ) -> AlbumPeopleListed:
        """One page of the people, by default the named first, then by their faces."""
        return self._ask(AlbumPeople(album, offset=offset, **_limited(limit), **which))

    def all_people(self, album: str, **which: Unpack[WhichPeople]) -> Iterator[AlbumPerson]:
        """Everybody, page by page."""
        return _pages(lambda offset: self.people(album, offset=offset, **which).people)

    def names(self, contains: str = "", limit: int = 20, *, albums: Sequence[str] = ()) -> AlbumNamesListed:
        """The names given to people in `albums`, or in all, most photos first; `contains`: those that contain this."""
        return self._ask(AlbumNames(contains, limit, tuple(albums)))

    # ------------------------------------------------------------------------------------------ correcting

    def label(self, album: str, person: int, name: str) -> AlbumChanged:
        """Names a person; another person's name merges the two, an empty one removes the name."""
        return self._ask(AlbumLabel(album, person, name))

    def merge(self, album: str, people: Sequence[int]) -> AlbumChanged:
        """Merges people into one, who keeps the first one's number."""
        return self._ask(AlbumMerge(album, tuple(people)))

    def split(self, album: str, person: int, faces: Sequence[int], name: str = "") -> AlbumChanged:
        """Makes a new person of some of a person's faces."""
        return self._ask(AlbumSplit(album, person, tuple(faces), name))

    def move(self, album: str, faces: Sequence[int], person: int) -> AlbumChanged:
        """Moves faces to a person."""
        return self._ask(AlbumMove(album, tuple(faces), person))

    def not_person(self, album: str, faces: Sequence[int], person: int) -> AlbumChanged:
        """Takes faces away from a person; clustering never puts them back."""
        return self._ask(AlbumNot(album, tuple(faces), person))

    def different(self, album: str, one: int, other: int) -> AlbumChanged:
        """Notes that two people are different."""
        return self._ask(AlbumDifferent(album, (one, other)))

    def hide(self, album: str, person: int | Sequence[int], hidden: bool = True) -> AlbumChanged:
        """Leave a person, or several, out of lists and questions, or show them again."""
        if isinstance(person, int):
            return self._ask(AlbumHide(album, person, hidden))
        return self._ask(AlbumHide(album, None, hidden, tuple(person)))

    def stranger(self, album: str, people: Sequence[int], stranger: bool = True) -> AlbumChanged:
        """Notes that nobody knows these people, so that they are not asked about; or takes that back."""
        return self._ask(AlbumStranger(album, tuple(people), stranger))

    def draw_face(self, album: str, photo: int, box: Box, *, person: int | None = None, name: str = "") -> AlbumDrawn:
        """Adds a face that the detector missed; `box`: x, y, width, height in pixels of the upright photo; it belongs
        to `person`, or whoever is called `name`, or somebody new."""
        return self._ask(AlbumDrawFace(album, photo, box, person, name))

    def redraw_face(self, album: str, face: int, box: Box) -> AlbumDrawn:
        """Moves or resizes a face that was drawn."""
        return self._ask(AlbumRedrawFace(album, face, box))

    def remove_face(self, album: str, face: int) -> AlbumChanged:
        """Removes a face that was drawn."""
        return self._ask(AlbumRemoveFace(album, face))

    def undo(self, album: str, *, last: int | None = None) -> AlbumChanged:
        """Undoes the last correction; `last`: its number, and if another one is the last, nothing is undone
        (conflict)."""
        return self._ask(AlbumUndo(album, last))

    def history(self, album: str, offset: int = 0, limit: int | None = None) -> AlbumHistoryListed:
        """One page of the corrections, newest first."""
        return self._ask(AlbumHistory(album, offset, **_limited(limit)))

    def all_history(self, album: str) -> Iterator[AlbumEvent]:
        """Every correction, newest first, page by page."""
        return _pages(lambda offset: self.history(album, offset).events)

    def suggest(self, album: str, limit: int = 20, *, person: int | None = None) -> AlbumSuggested:
        """Who may be one person, those first whose answer settles most faces; or who may be `person`, the likeliest
        first."""
        return self._ask(AlbumSuggest(album, limit, person))

    def recognise(self, album: str, *, apply: bool = False, people: Sequence[int] = ()) -> AlbumRecognised:
        """Which people without a name does the gallery know? With `apply` they get these names. `people`: ask only
        about these of them."""
        return self._ask(AlbumRecognise(album, apply, tuple(people)))

    def enrol(self, album: str, person: int, templates: int = 5, *, accept: Sequence[Acceptable] = ()) -> AlbumEnrolled:
        """Enrols a named person in the gallery with their best faces; `accept`: reasons not to leave one out for, "all"
        for none."""
        return self._ask(AlbumEnrol(album, person, templates, tuple(accept)))

    # ------------------------------------------------------------------------------------------ finding

    def search(
        self,
        album: str,
        wanted: Sequence[AlbumWanted] = (),
        *,
        together: Together = "any",
        show: ShowFound = "all",
        offset: int = 0,
        limit: int = 100,
        since: str = "",
        until: str = "",
        text: str = "",
    ) -> AlbumFound:
        """The photos that show any, or all, of the people in `wanted`; `since`, `until`: taken on these days; `text`:
        ranked by how well they show this, of all photos where nobody is wanted."""
        return self._ask(AlbumSearch(album, tuple(wanted), together, show, offset, limit, since, until, text))

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
        since: str = "",
        until: str = "",
        embedded: bool = False,
        show: ShowFound = "all",
    ) -> AlbumExported:
        """Prepares a ZIP of the album, of people's photos, of these photos, or of a search's results, all or as `show`
        says; `since`, `until`: of those, the ones taken on these days; `embedded`: JPEGs hold the names in them."""
        chosen = tuple(people), tuple(photos), tuple(wanted)
        return self._ask(AlbumExport(album, *chosen, together, sidecars, since, until, embedded, show))

    def read_export(self, export: AlbumExported, offset: int = 0) -> Iterator[bytes]:
        """The ZIP's bytes from `offset` on, piece by piece, as fast as the caller takes them."""
        return read_export(self._transport, export, offset)

    def save_export(self, export: AlbumExported, path: Path, on_bytes: OnBytes | None = None) -> None:
        """Writes the ZIP to `path`, continuing where an earlier try stopped; `on_bytes` hears how far it is.

        Raises OSError when it can't be written.
        """
        save_export(self._transport, export, path, on_bytes)


def _limited(limit: int | None) -> dict[str, int]:
    """The protocol's own page where nothing is said."""
    return {} if limit is None else {"limit": limit}


def _pages(page: Callable[[int], Sequence[Item]]) -> Iterator[Item]:
    offset = 0
    while items := page(offset):
        yield from items
        offset += len(items)
