"""`AlbumService`: everything that albums can do, in the protocol's words, without a socket in sight."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar

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
    AlbumZipTaken,
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
from facewire.protocol.albums.export import AlbumExport, AlbumExported, AlbumExportPiece, AlbumExportRead
from facewire.protocol.albums.looking import (
    AlbumFace,
    AlbumFaces,
    AlbumFacesListed,
    AlbumPeople,
    AlbumPeopleListed,
    AlbumPhoto,
    AlbumPhotos,
    AlbumPhotosListed,
    AlbumPicture,
)
from facewire.protocol.albums.search import AlbumFound, AlbumSearch
from facewire.protocol.formats import format_called
from facewire.protocol.messages import RequestBody, Result
from facewire.server.albums import catalogue, clustering, corrections, faces, journal
from facewire.server.albums.adding import Adding
from facewire.server.albums.additions import Addition
from facewire.server.albums.database import Database, spec_id
from facewire.server.albums.deathwatch import DeathWatch
from facewire.server.albums.export import Exports
from facewire.server.albums.ingest import Ingest
from facewire.server.albums.jobs import Job, Jobs
from facewire.server.albums.lending import Judge, Registry
from facewire.server.albums.originals import Originals
from facewire.server.albums.people import GalleryTies
from facewire.server.albums.processing import Processing
from facewire.server.albums.renditions import Renditions
from facewire.server.albums.search import Search
from facewire.server.albums.settings import AlbumSettings
from facewire.server.albums.shelf import Shelf
from facewire.server.albums.vectors import VectorStore
from facewire.server.errors import BadRequest
from facewire.server.gallery.search.cohort import Cohort
from facewire.server.reply import Reply
from facewire.server.storage import storage_errors
from facewire.server.vision.engine import Engine

Handler = Callable[..., Result]
P = ParamSpec("P")
Answer = TypeVar("Answer")

_log = logging.getLogger("facewire.albums")

_STOP_PATIENCE_S = 1.0  # of the five seconds that a server has to stop: a photo takes less, clustering is given up


class AlbumService:
    """Thread-safe. Every method raises RequestError for what it refuses; `handlers` and `followed` are for dispatch."""

    def __init__(
        self, settings: AlbumSettings, engine: Engine, judge: Judge, registry: Registry, cohort: Cohort | None = None
    ) -> None:
        """Opens the albums, and goes on with what the last server did not finish. Raises StartError."""
        self._limits = settings.limits
        self._root = settings.root
        self._db = Database.open(settings.root)
        self._originals = Originals(settings.root)
        self._shelf = Shelf(settings.root / "renditions", self._limits.renditions_bytes)
        with self._db.writing() as db:
            spec = spec_id(db, engine.spec)
            for kept in (self._originals, self._shelf):
                kept.sweep(lambda sha256: catalogue.has_blob(db, sha256))
        self._renditions = Renditions(self._shelf, engine.decoder, self._limits)
        # With a cohort, similarities are normalised to the scale that clustering was fitted on.
        scale = clustering.FITTED if cohort else clustering.scale_of(judge.strangers_exceed)
        if cohort is None:
            _log.info("without a cohort, albums are clustered by how near %s's strangers come", engine.spec.model)
        self._vectors = VectorStore(spec, engine.spec.dimension, cohort, scale)
        self._ingest = Ingest(self._db, self._originals, engine.decoder, self._limits, self._drop)
        watch = DeathWatch(settings.root / "looking-at")
        self._processing = Processing(self._db, self._originals, engine, self._vectors, watch)
        self._adding = Adding(settings.root, settings.import_root, self._db, self._ingest, self._limits)
        self._search = Search(self._db, self._vectors, engine, judge, self._limits)
        self._exports = Exports(settings.root, self._db, self._originals, self._limits)
        self._ties = GalleryTies(self._db, self._originals, self._vectors, registry)
        self._processed = Jobs("albums")
        self._added = Jobs("albums-adding")
        self._processed.start()
        self._added.start()
        for addition in self._adding.asked():
            self._run(addition, None)
        for album in self._processing.asked():
            self._submit(album, None)

    @property
    def handlers(self) -> Mapping[type[RequestBody], Handler]:
        """Message -> answer; every one raises StorageFailed too."""
        handlers: Mapping[type[RequestBody], Handler] = {
            AlbumCreate: self.create,
            AlbumList: self.albums,
            AlbumDelete: self.delete,
            AlbumRename: self.rename,
            AlbumStatus: self.status,
            AlbumAdd: self.add,
            AlbumFolders: self.folders,
            AlbumRemove: self.remove,
            AlbumPhotos: self.photos,
            AlbumPhoto: self.photo,
            AlbumFace: self.face,
            AlbumFaces: self.faces,
            AlbumPeople: self.people,
            AlbumLabel: self.label,
            AlbumMerge: self.merge,
            AlbumSplit: self.split,
            AlbumMove: self.move,
            AlbumNot: self.not_person,
            AlbumDifferent: self.different,
            AlbumHide: self.hide,
            AlbumUndo: self.undo,
            AlbumHistory: self.history,
            AlbumSuggest: self.suggest,
            AlbumRecognise: self.recognise,
            AlbumEnrol: self.enrol,
            AlbumSearch: self.search,
            AlbumExport: self.export,
            AlbumExportRead: self.export_read,
        }
        return {message: self._guarded(handler) for message, handler in handlers.items()}

    @property
    def followed(self) -> Mapping[type[RequestBody], Callable[..., None]]:
        """Message, and the reply that is answered when there is something to say."""
        return {
            AlbumAddZip: self._guarded(self.add_zip),
            AlbumImport: self._guarded(self.import_folder),
            AlbumProcess: self._guarded(self.process),
        }

    def trouble(self) -> str:
        """Why no change would be kept; empty where all is well."""
        return self._db.trouble()

    def close(self) -> None:
        """Ends the threads and closes the database. What was not finished goes on at the next start."""
        for jobs in (self._added, self._processed):
            jobs.close(_STOP_PATIENCE_S)
        self._db.close()

    # ------------------------------------------------------------------------------------------ albums

    def create(self, message: AlbumCreate, /) -> AlbumInfo:
        """Raises AlreadyExists, OverLimit, BadRequest."""
        with self._db.writing() as db:
            return catalogue.info(db, catalogue.create(db, message.album, self._limits), processing=False)

    def albums(self, message: AlbumList, /) -> AlbumsListed:
        """By name."""
        with self._db.reading() as db:
            ids = [row[0] for row in db.execute("SELECT id FROM albums ORDER BY name")]
            page = ids[message.offset : message.offset + message.limit]
            return AlbumsListed(tuple(self._info(db, album) for album in page), len(ids))

    def delete(self, message: AlbumDelete, /) -> AlbumDeleted:
        """Raises UnknownAlbum."""
        with self._db.writing() as db:
            album = catalogue.album_id(db, message.album)
            photos, unused = catalogue.delete(db, album)
        self._drop(unused)
        self._adding.forget_gone()
        self._vectors.forget(album)
        return AlbumDeleted(message.album, photos)

    def rename(self, message: AlbumRename, /) -> AlbumInfo:
        """Raises UnknownAlbum, AlreadyExists."""
        with self._db.writing() as db:
            album = catalogue.album_id(db, message.album)
            catalogue.rename(db, album, message.to)
            return self._info(db, album)

    def status(self, message: AlbumStatus, /) -> AlbumInfo:
        """Raises UnknownAlbum."""
        with self._db.reading() as db:
            return self._info(db, catalogue.album_id(db, message.album))

    # ------------------------------------------------------------------------------------------ adding

    def add(self, message: AlbumAdd, /) -> AlbumAdded:
        """Raises UnknownAlbum, InvalidImage, OverLimit."""
        return self._ingest.add(self._album(message.album), message.name, message.image)

    def add_zip(self, message: AlbumAddZip, /, *, reply: Reply) -> None:
        """Raises UnknownAlbum, BadRequest, OverLimit."""
        album = self._album(message.album)
        taken = self._adding.take_piece(album, message)
        if taken.ingested is not None or not message.last:
            reply.answer(taken)
            return
        self._run(self._adding.zip_arrived(album, taken.upload), reply)

    def import_folder(self, message: AlbumImport, /, *, reply: Reply) -> None:
        """Raises UnknownAlbum, BadRequest, Busy."""
        self._run(self._adding.folder_asked(self._album(message.album), message.folder), reply)

    def folders(self, message: AlbumFolders, /) -> AlbumFoldersListed:
        """Raises BadRequest."""
        return self._adding.folders(message.folder)

    def remove(self, message: AlbumRemove, /) -> AlbumRemoved:
        """Raises UnknownAlbum, BadRequest."""
        with self._db.writing() as db:
            album = catalogue.album_id(db, message.album)
            photos, removed, unused = catalogue.remove_photos(db, album, message.photos)
        self._drop(unused)
        return AlbumRemoved(photos, removed)

    def process(self, message: AlbumProcess, /, *, reply: Reply) -> None:
        """Raises UnknownAlbum, Busy."""
        album = self._album(message.album)
        self._processing.ask(album, again=message.again)
        self._submit(album, reply if message.wait else None)
        if not message.wait:
            with self._db.reading() as db:
                reply.answer(self._info(db, album))

    # ------------------------------------------------------------------------------------------ looking

    def photos(self, message: AlbumPhotos, /) -> AlbumPhotosListed:
        """Raises UnknownAlbum."""
        with self._db.reading() as db:
            album = catalogue.album_id(db, message.album)
            page = catalogue.photos(db, album, message.show, message.person, message.offset, message.limit)
            return AlbumPhotosListed(*page)

    def photo(self, message: AlbumPhoto, /) -> AlbumPicture:
        """Raises UnknownAlbum, BadRequest; InvalidImage for a thumbnail of what can't be decoded."""
        with self._db.reading() as db:
            row = catalogue.photo(db, catalogue.album_id(db, message.album), message.photo)
        sha256 = row["sha256"]
        if not message.size:
            data = self._original(sha256)
            return AlbumPicture(data, format_called(row["format"]).mime, row["name"], row["width"], row["height"])
        small, width, height = self._renditions.photo(sha256, message.size, lambda: self._original(sha256))
        self._forget_if_gone(sha256)
        return AlbumPicture(small, "image/jpeg", row["name"], width, height)

    def face(self, message: AlbumFace, /) -> AlbumPicture:
        """Raises UnknownAlbum, BadRequest, InvalidImage."""
        with self._db.reading() as db:
            row = faces.face(db, catalogue.album_id(db, message.album), message.face)
        sha256, box, shown = row["sha256"], faces.face_entry(row).box, (row["width"], row["height"])
        crop = self._renditions.face(sha256, box, shown, message.size, lambda: self._original(sha256))
        self._forget_if_gone(sha256)
        return AlbumPicture(crop, "image/jpeg", row["photo_name"], message.size, message.size)

    def faces(self, message: AlbumFaces, /) -> AlbumFacesListed:
        """Raises UnknownAlbum."""
        with self._db.reading() as db:
            album = catalogue.album_id(db, message.album)
            page = faces.faces(db, album, message.person, message.photo, message.offset, message.limit)
            return AlbumFacesListed(*page)

    def people(self, message: AlbumPeople, /) -> AlbumPeopleListed:
        """Raises UnknownAlbum."""
        with self._db.reading() as db:
            album = catalogue.album_id(db, message.album)
            page = faces.people(db, album, hidden=message.hidden, offset=message.offset, limit=message.limit)
            return AlbumPeopleListed(*page)

    # ------------------------------------------------------------------------------------------ correcting

    def label(self, message: AlbumLabel, /) -> AlbumChanged:
        """Raises UnknownAlbum, UnknownPerson, BadRequest; so do all below."""
        with self._db.writing() as db:
            return corrections.label(db, catalogue.album_id(db, message.album), message.person, message.name)

    def merge(self, message: AlbumMerge, /) -> AlbumChanged:
        """See AlbumMerge."""
        with self._db.writing() as db:
            return corrections.merge(db, catalogue.album_id(db, message.album), message.people)

    def split(self, message: AlbumSplit, /) -> AlbumChanged:
        """See AlbumSplit."""
        with self._db.writing() as db:
            album = catalogue.album_id(db, message.album)
            return corrections.split(db, album, message.person, message.faces, message.name)

    def move(self, message: AlbumMove, /) -> AlbumChanged:
        """See AlbumMove."""
        with self._db.writing() as db:
            return corrections.move(db, catalogue.album_id(db, message.album), message.faces, message.person)

    def not_person(self, message: AlbumNot, /) -> AlbumChanged:
        """See AlbumNot."""
        with self._db.writing() as db:
            return corrections.not_person(db, catalogue.album_id(db, message.album), message.faces, message.person)

    def different(self, message: AlbumDifferent, /) -> AlbumChanged:
        """See AlbumDifferent."""
        with self._db.writing() as db:
            return corrections.different(db, catalogue.album_id(db, message.album), *message.people)

    def hide(self, message: AlbumHide, /) -> AlbumChanged:
        """See AlbumHide."""
        with self._db.writing() as db:
            return corrections.hide(db, catalogue.album_id(db, message.album), message.person, hidden=message.hidden)

    def undo(self, message: AlbumUndo, /) -> AlbumChanged:
        """See AlbumUndo."""
        with self._db.writing() as db:
            return corrections.undo(db, catalogue.album_id(db, message.album))

    def history(self, message: AlbumHistory, /) -> AlbumHistoryListed:
        """See AlbumHistory."""
        with self._db.reading() as db:
            album = catalogue.album_id(db, message.album)
            return AlbumHistoryListed(*journal.history(db, album, message.offset, message.limit))

    def suggest(self, message: AlbumSuggest, /) -> AlbumSuggested:
        """See AlbumSuggest."""
        with self._db.reading() as db:
            return self._ties.suggest(db, catalogue.album_id(db, message.album), message.limit)

    def recognise(self, message: AlbumRecognise, /) -> AlbumRecognised:
        """See AlbumRecognise."""
        return self._ties.recognise(self._album(message.album), apply=message.apply)

    def enrol(self, message: AlbumEnrol, /) -> AlbumEnrolled:
        """See AlbumEnrol."""
        return self._ties.enrol(self._album(message.album), message)

    # ------------------------------------------------------------------------------------------ finding

    def search(self, message: AlbumSearch, /) -> AlbumFound:
        """Raises UnknownAlbum, UnknownPerson, BadRequest, InvalidImage, NoFace."""
        return self._search.search(self._album(message.album), message)

    def export(self, message: AlbumExport, /) -> AlbumExported:
        """Raises as `search`."""
        return self._exports.of(self._album(message.album), message, self._search)

    def export_read(self, message: AlbumExportRead, /) -> AlbumExportPiece:
        """Raises BadRequest."""
        return AlbumExportPiece(*self._exports.read(message.export, message.offset, message.size))

    # ------------------------------------------------------------------------------------------ inside

    def _guarded(self, handler: Callable[P, Answer]) -> Callable[P, Answer]:
        """The handler, which says what is wrong with the disk."""

        @wraps(handler)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Answer:
            with storage_errors(self._root):
                return handler(*args, **kwargs)

        return guarded

    def _album(self, name: str) -> int:
        with self._db.reading() as db:
            return catalogue.album_id(db, name)

    def _info(self, db: sqlite3.Connection, album: int) -> AlbumInfo:
        return catalogue.info(db, album, processing=self._processed.has(album))

    def _run(self, addition: Addition, reply: Reply | None) -> None:
        def work(job: Job) -> AlbumIngested | AlbumZipTaken:
            with storage_errors(self._root):
                return self._adding.run(addition, job)

        self._added.submit(addition, work, reply)

    def _submit(self, album: int, reply: Reply | None) -> None:
        def work(job: Job) -> AlbumInfo:
            with storage_errors(self._root):
                return self._processing.run(album, job)

        self._processed.submit(album, work, reply)

    def _original(self, sha256: str) -> bytes:
        try:
            return self._originals.read(sha256)
        except FileNotFoundError as error:
            raise BadRequest("the photo has been removed") from error

    def _drop(self, unused: list[str]) -> None:
        """Removes originals, unless one of them has been added again since."""
        with self._db.writing() as db:
            gone = [sha256 for sha256 in unused if not catalogue.has_blob(db, sha256)]
            self._originals.drop(gone)
        self._shelf.drop(gone)

    def _forget_if_gone(self, sha256: str) -> None:
        """What was made of a photo while it was removed must not stay behind."""
        with self._db.reading() as db:
            if catalogue.has_blob(db, sha256):
                return
        self._shelf.drop([sha256])
