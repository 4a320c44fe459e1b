"""Imports folders of the server into albums: started by a page, continued after it is closed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import OrderedDict
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from facewire.client.face_client import FaceClient
from facewire.client.web.answers import FAILURES, failure
from facewire.client.web.bodies import BodyError, read_json, text
from facewire.client.web.gateway import Gateway, session_of
from facewire.client.web.pool import Overloaded
from facewire.client.web.sessions import Session
from facewire.protocol.albums.adding import AlbumImport, AlbumIngested, AlbumProcess
from facewire.protocol.messages import Progress
from facewire.protocol.schema import from_plain, to_plain

_MAX_RUNNING = 4  # each occupies one of the pool's sixteen threads until it is done
_LOOK_S = 5.0  # between two requests to look at what has arrived
_MAX_KEPT = 100  # finished ones whose result a page may still request


@dataclass(slots=True)
class Import:
    """One import. Used by the event loop's thread, except `news`, which a pool thread replaces as a whole."""

    folder: str
    news: tuple[int, int] = (0, 0)  # files processed, total
    result: AlbumIngested | None = None
    error: object = None  # in the API's form

    @property
    def running(self) -> bool:
        """Is it still running?"""
        return self.result is None and self.error is None

    def plain(self) -> dict[str, object]:
        """JSON values for the page."""
        done, total = self.news
        said = {"folder": self.folder, "running": self.running, "done": done, "total": total, "error": self.error}
        return said | {"result": None if self.result is None else to_plain(self.result)}


class Imports:
    """All imports of this gateway. Used by the event loop's thread only."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._known: OrderedDict[tuple[str | None, str], Import] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself has only weak references to tasks

    def of(self, session: Session, album: str) -> Import | None:
        """The last import into this album, or None."""
        return self._known.get((session.token, album))

    def begin(self, session: Session, wanted: AlbumImport) -> Import:
        """Starts an import, or returns the one already running for the album. Raises Overloaded."""
        key = session.token, wanted.album
        known = self._known.get(key)
        if known is not None and known.running:
            return known
        if len(self._tasks) >= _MAX_RUNNING:
            raise Overloaded("too many folders are being imported at once; try again later")
        begun = self._known[key] = Import(wanted.folder)
        self._known.move_to_end(key)
        while len(self._known) > _MAX_KEPT:
            self._known.popitem(last=False)
        task = asyncio.ensure_future(self._run(session, wanted, begun))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return begun

    async def _run(self, session: Session, wanted: AlbumImport, begun: Import) -> None:
        def ask(client: FaceClient) -> AlbumIngested:
            return client.ask(wanted, hear)

        def hear(news: Progress) -> None:
            begun.news = news.done, news.total

        looking = asyncio.ensure_future(self._look_meanwhile(session, wanted.album))
        try:
            ingested = await self._gateway.ask(session, ask)  # repeating the request resumes the import
            looking.cancel()
            await self._gateway.ask(
                session, lambda client: client.ask(AlbumProcess(wanted.album, wait=False)), changes=True
            )
            begun.result = ingested
        except FAILURES as what:
            begun.error = json.loads(bytes(failure(what).body))["error"]
        finally:
            looking.cancel()

    async def _look_meanwhile(self, session: Session, album: str) -> None:
        """Has faces looked for in what has arrived. If that fails, the request after the import says so."""
        request = AlbumProcess(album, wait=False, provisional=True)
        while True:
            await asyncio.sleep(_LOOK_S)
            with contextlib.suppress(*FAILURES):
                await self._gateway.ask(session, lambda client: client.ask(request), changes=True)


async def begin(request: Request) -> JSONResponse:
    """Starts to import `folder` into `album`; its faces are processed afterwards."""
    wanted: AlbumImport = from_plain(AlbumImport, await read_json(request), strict=True)
    begun = imports_of(request).begin(session_of(request), wanted)
    if begun.folder != wanted.folder:
        raise BodyError(409, "conflict", f"the folder '{begun.folder}' is already being imported into this album")
    return JSONResponse(begun.plain(), 202)


async def look(request: Request) -> JSONResponse:
    """The state of the last import into `album`; null if there was none."""
    found = imports_of(request).of(session_of(request), text(request, "album"))
    return JSONResponse(None if found is None else found.plain())


def imports_of(request: Request) -> Imports:
    """The application's Imports."""
    imports = request.app.state.imports
    assert isinstance(imports, Imports)
    return imports


ROUTES = [Route("/api/album/import", begin, methods=["POST"]), Route("/api/album/import", look)]
