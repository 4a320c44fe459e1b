"""`AlbumService`: all album requests, in the protocol's terms and without a socket.

Most requests are answered elsewhere: by functions that run in one transaction (handling.py), and by the objects built
here, as listed in `handlers`. This module handles albums as a whole and long-running jobs.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from facewire.protocol.albums.adding import (
    AlbumAdd,
    AlbumAdded,
    AlbumAddVideo,
    AlbumAddZip,
    AlbumFolders,
    AlbumImport,
    AlbumIngested,
    AlbumProcess,
    AlbumRemove,
    AlbumVideoTaken,
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
from facewire.protocol.albums.correcting import AlbumSuggest
from facewire.protocol.albums.drawing import AlbumDrawFace, AlbumRedrawFace
from facewire.protocol.albums.enrolling import AlbumEnrol, AlbumRecognise
from facewire.protocol.albums.export import AlbumExport, AlbumExportRead
from facewire.protocol.albums.looking import AlbumFace, AlbumNames, AlbumNamesListed, AlbumPhoto, AlbumPhotoRead
from facewire.protocol.albums.search import AlbumSearch
from facewire.protocol.gallery_messages import Enrol, Enrolled
from facewire.protocol.messages import RequestBody, Result
from facewire.server.albums import catalogue, faces
from facewire.server.albums.adding import Adding
from facewire.server.albums.additions import Addition
from facewire.server.albums.bridge import GalleryBridge
from facewire.server.albums.database import Database, spec_id
from facewire.server.albums.describing import Describing
from facewire.server.albums.drawing import Drawing
from facewire.server.albums.export import Exports
from facewire.server.albums.file_cache import FileCache
from facewire.server.albums.grouping import grouping, scale_for
from facewire.server.albums.handling import HANDLED, InTransaction
from facewire.server.albums.headers import Headers
from facewire.server.albums.ingest import Ingest
from facewire.server.albums.judge import Judge
from facewire.server.albums.names import wanted_text
from facewire.server.albums.originals import Originals
from facewire.server.albums.photos import Photos
from facewire.server.albums.poison import PoisonGuard
from facewire.server.albums.processing import Processing
from facewire.server.albums.search import Search
from facewire.server.albums.settings import AlbumSettings
from facewire.server.albums.stills import Stills
from facewire.server.albums.times import file_time
from facewire.server.albums.vectors import VectorStore
from facewire.server.gallery.search.cohort import Cohort
from facewire.server.jobs import Job, Jobs
from facewire.server.reply import Reply
from facewire.server.storage import storage_errors
from facewire.server.vision.clip import Clip
from facewire.server.vision.engine import Engine

Handler = Callable[..., Result]
P = ParamSpec("P")
Answer = TypeVar("Answer")

_log = logging.getLogger("facewire.albums")

_STOP_PATIENCE_S = 1.0  # of the five seconds a server has to stop: enough to finish a photo; clustering is abandoned


class AlbumService:
    """Thread-safe. Every handler raises RequestError for what it refuses."""

    def __init__(
        self,
        settings: AlbumSettings,
        engine: Engine,
        judge: Judge,
        enrol: Callable[[Enrol], Enrolled],
        cohort: Cohort | None = None,
    ) -> None:
        """Opens the albums and resumes unfinished jobs. `enrol` adds pictures to a person of the gallery. Raises
        StartError."""
        self._limits = settings.limits
        self._root = settings.root
        self._db = Database.open(settings.root)
        originals = Originals(settings.root)
        cache = FileCache(settings.root / "renditions", self._limits.renditions_bytes)
        self._photos = Photos(self._db, originals, cache, engine.decoder, self._limits)
        with self._db.writing() as db:
            spec = spec_id(db, engine.spec)
            self._photos.sweep(db)
        scale = scale_for(cohort, judge.strangers_exceed)
        if cohort is None:
            _log.info("without a cohort, albums are clustered by how near %s's strangers come", engine.spec.model)
        self._vectors = VectorStore(spec, engine.spec.dimension, cohort, scale)
        self._ingest = Ingest(self._db, originals, engine.decoder, self._limits, self._photos.drop)
        guard = PoisonGuard(settings.root / "looking-at")
        self._processing = Processing(self._db, originals, engine, self._vectors, guard, grouping(cohort, scale))
        self._drawing = Drawing(self._db, originals, engine, spec, self._limits)
        self._adding = Adding(settings.root, settings.import_root, self._db, originals, self._ingest, self._limits)
        stills = Stills(originals, engine.decoder)
        self._describing: Describing | None = None
        if settings.clip is not None:
            self._describing = Describing(self._db, stills, engine.decoder, Clip(settings.clip), self._limits)
        self._search = Search(self._db, self._vectors, engine, judge, self._limits, self._describing)
        headers = Headers(self._db, originals, engine.decoder, self._limits)
        self._exports = Exports(settings.root, self._db, originals, self._search, headers, self._limits)
        self._bridge = GalleryBridge(self._db, stills, self._vectors, judge, enrol)
        self._processed = Jobs("albums")
        self._added = Jobs("albums-adding")
        self._described = Jobs("albums-describing")
        self._processed.start()
        self._added.start()
        self._described.start()
        if headers.lacking():  # photos of an older version
            self._added.submit("headers", headers.complete_all)
        for addition in self._adding.asked():
            self._run(addition, None)
        for album in self._processing.asked():
            self._submit(album, None)
        if self._describing is not None:
            for album in self._describing.lacking():
                self._describe(album, self._describing)

    @property
    def handlers(self) -> Mapping[type[RequestBody], Handler]:
        """Request -> its handler. All of them also raise StorageFailed."""
        handlers: Mapping[type[RequestBody], Handler] = {
            AlbumCreate: self.create,
            AlbumList: self.albums,
            AlbumNames: self.names,
            AlbumDelete: self.delete,
            AlbumRename: self._in_transaction(self.rename, writing=True),
            AlbumStatus: self._in_transaction(self.status, writing=False),
            AlbumAdd: self._in_album(self.add),
            AlbumFolders: self._adding.folders,
            AlbumRemove: self._in_album(self._photos.remove),
            AlbumPhoto: self._in_album(self._photos.photo),
            AlbumPhotoRead: self._in_album(self._photos.read),
            AlbumFace: self._in_album(self._photos.face),
            AlbumSuggest: self._in_transaction(self._bridge.suggest, writing=False),
            AlbumRecognise: self._in_album(self._bridge.recognise),
            AlbumEnrol: self._in_album(self._bridge.enrol),
            AlbumSearch: self._in_album(self._search.search),
            AlbumDrawFace: self._in_album(self._drawing.draw),
            AlbumRedrawFace: self._in_album(self._drawing.redraw),
            AlbumExport: self._in_album(self._exports.export),
            AlbumExportRead: self._exports.read,
            **{request: self._in_transaction(one.answer, writing=one.writing) for request, one in HANDLED.items()},
        }
        return {request: self._guarded(handler) for request, handler in handlers.items()}

    @property
    def followed(self) -> Mapping[type[RequestBody], Callable[..., None]]:
        """Request -> the function that starts its job; the reply is answered later."""
        return {
            AlbumAddZip: self._guarded(self.add_zip),
            AlbumAddVideo: self._guarded(self.add_video),
            AlbumImport: self._guarded(self.import_folder),
            AlbumProcess: self._guarded(self.process),
        }

    def trouble(self) -> str:
        """Why changes would be lost; empty if all is well."""
        return self._db.trouble()

    def close(self) -> None:
        """Ends the threads and closes the database. Unfinished jobs resume at the next start."""
        for jobs in (self._added, self._processed, self._described):
            jobs.close(_STOP_PATIENCE_S)
        self._db.close()

    # ------------------------------------------------------------------------------------------ albums

    def create(self, message: AlbumCreate) -> AlbumInfo:
        """Raises AlreadyExists, OverLimit, BadRequest."""
        with self._db.writing() as db:
            return catalogue.info(db, catalogue.create(db, message.album, self._limits), processing=False)

    def albums(self, message: AlbumList) -> AlbumsListed:
        """A page of those whose name contains what is asked for, by name."""
        with self._db.reading() as db:
            query = "SELECT id FROM albums WHERE contains(name, ?) ORDER BY name"
            ids = [row[0] for row in db.execute(query, (wanted_text(message.contains),))]
            page = ids[message.offset : message.offset + message.limit]
            return AlbumsListed(tuple(self._info(db, album) for album in page), len(ids))

    def names(self, message: AlbumNames) -> AlbumNamesListed:
        """The names given in albums."""
        with self._db.reading() as db:
            return faces.names(db, message)

    def delete(self, message: AlbumDelete) -> AlbumDeleted:
        """Raises UnknownAlbum."""
        with self._db.writing() as db:
            album = catalogue.album_id(db, message.album)
            photos, unused = catalogue.delete(db, album)
        self._photos.drop(unused)
        self._adding.forget_gone()
        self._vectors.forget(album)
        return AlbumDeleted(message.album, photos)

    def rename(self, db: sqlite3.Connection, album: int, message: AlbumRename) -> AlbumInfo:
        """Raises AlreadyExists."""
        catalogue.rename(db, album, message.to)
        return self._info(db, album)

    def status(self, db: sqlite3.Connection, album: int, _: AlbumStatus) -> AlbumInfo:
        """The state of an album."""
        return self._info(db, album)

    # ------------------------------------------------------------------------------------------ adding

    def add(self, album: int, message: AlbumAdd) -> AlbumAdded:
        """Raises InvalidImage, OverLimit, BadRequest."""
        sidecars = message.sidecars if message.metadata else None
        time = file_time(message.modified)
        return self._ingest.add(album, message.name, message.image, modified=time, sidecars=sidecars)

    def add_zip(self, message: AlbumAddZip, /, *, reply: Reply) -> None:
        """Raises UnknownAlbum, BadRequest, OverLimit."""
        album = self._album(message.album)
        taken = self._adding.take_piece(album, message)
        if taken.ingested is not None or not message.last:
            reply.answer(taken)
            return
        self._run(self._adding.zip_arrived(album, taken.upload, metadata=message.metadata), reply)

    def add_video(self, message: AlbumAddVideo, /, *, reply: Reply) -> None:
        """Raises UnknownAlbum, BadRequest, OverLimit, InvalidImage."""
        album = self._album(message.album)
        taken = self._adding.videos.take_piece(album, message)
        if taken.added is not None or taken.received < message.size:
            reply.answer(taken)
            return
        self._run(self._adding.videos.arrived(album, message, taken.upload), reply)

    def import_folder(self, message: AlbumImport, /, *, reply: Reply) -> None:
        """Raises UnknownAlbum, BadRequest, Busy."""
        album = self._album(message.album)
        self._run(self._adding.folder_asked(album, message.folder, metadata=message.metadata), reply)

    def process(self, message: AlbumProcess, /, *, reply: Reply) -> None:
        """Raises UnknownAlbum, Busy."""
        album = self._album(message.album)
        self._processing.ask(album, again=message.again, provisional=message.provisional)
        self._submit(album, reply if message.wait else None)
        if not message.wait:
            with self._db.reading() as db:
                reply.answer(self._info(db, album))

    # ------------------------------------------------------------------------------------------ inside

    def _in_transaction(self, answer: InTransaction[Any], *, writing: bool) -> Handler:
        """A handler that opens a transaction and looks the album up. Also raises UnknownAlbum."""

        def handler(message: Any) -> Any:
            with self._db.writing() if writing else self._db.reading() as db:
                return answer(db, catalogue.album_id(db, message.album), message)

        return handler

    def _in_album(self, answer: Callable[[int, Any], Result]) -> Handler:
        """A handler that only looks the album up, for work longer than a transaction. Also raises UnknownAlbum."""

        def handler(message: Any) -> Result:
            return answer(self._album(message.album), message)

        return handler

    def _guarded(self, handler: Callable[P, Answer]) -> Callable[P, Answer]:
        """The handler, raising disk errors as StorageFailed."""

        @wraps(handler)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Answer:
            with storage_errors(self._root):
                return handler(*args, **kwargs)

        return guarded

    def _album(self, name: str) -> int:
        with self._db.reading() as db:
            return catalogue.album_id(db, name)

    def _info(self, db: sqlite3.Connection, album: int) -> AlbumInfo:
        info = catalogue.info(db, album, processing=self._processed.has(album))
        return replace(info, text_search=self._describing is not None)

    def _run(self, addition: Addition, reply: Reply | None) -> None:
        def work(job: Job) -> AlbumIngested | AlbumZipTaken | AlbumVideoTaken:
            with storage_errors(self._root):
                return self._adding.run(addition, job)

        self._added.submit(addition, work, reply)

    def _submit(self, album: int, reply: Reply | None) -> None:
        def work(job: Job) -> AlbumInfo:
            with storage_errors(self._root):
                info = self._processing.run(album, job)
            if self._describing is not None:
                self._describe(album, self._describing)
            return info

        self._processed.submit(album, work, reply)

    def _describe(self, album: int, describing: Describing) -> None:
        """After whatever waits for faces, which users wait for."""

        def work(job: Job) -> None:
            with storage_errors(self._root):
                describing.run(album, job)

        self._described.submit(album, work)
