"""The ASGI application of DeepFace's API: its routes, its tokens, and its errors."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from facewire.client.errors import ClientError, ConnectionLost, ServerRefused, ServerTimeout, Unauthorized
from facewire.client.face_client import FaceClient
from facewire.client.web.answers import FAILURES, STATUS
from facewire.client.web.bodies import BodyBudget, BodyError
from facewire.client.web.deepface import answering, gallery
from facewire.client.web.deepface.asked import Asked, NoPicture, Refused, asked_by
from facewire.client.web.deepface.common import Json
from facewire.client.web.deepface.guard import NoBrowsers
from facewire.client.web.gateway import Gateway
from facewire.client.web.pool import Overloaded
from facewire.client.web.sessions import Session
from facewire.client.web.settings import WebSettings

DEEPFACE_VERSION = "0.0.103"
"""Whose API this is."""

_WELCOME = f"<h1>Welcome to DeepFace API v{DEEPFACE_VERSION}, answered by facewire!</h1>"
_NO_TOKEN = "Invalid or missing authentication token"
_MAX_KNOWN = 1000  # tokens that the server has accepted

Answering = Callable[[FaceClient, Asked], Json]

_OPERATIONS: Mapping[str, tuple[Answering, str, bool]] = {
    "/represent": (answering.represent, "representing", False),
    "/verify": (answering.verify, "verifying", False),
    "/analyze": (answering.analyze, "analyzing", False),
    "/register": (gallery.register, "registering", True),
    "/search": (gallery.search, "searching", False),
    "/build/index": (gallery.build_index, "building index", False),
}
"""Path -> what answers it, the word in DeepFace's error, and whether it changes the gallery."""


class Tokens:
    """Maps `Authorization: Bearer` to tokens of the server. A token is tried slowly until the server has accepted it
    once, as on the page's login. Used by the event loop's thread only."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._known: OrderedDict[str, None] = OrderedDict()

    async def session(self, header: str | None) -> Session:
        """Raises Unauthorized for a token that the server doesn't know, and other FAILURES."""
        kind, _, token = (header or "").strip().partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            return Session("", "", None)  # the server says whether it needs one
        token = token.strip()
        if token not in self._known:
            if not await self._gateway.asks_for_token():
                return Session("", "", None)
            await self._gateway.guesses.try_token(token)
            self._known[token] = None
            while len(self._known) > _MAX_KNOWN:
                self._known.popitem(last=False)
        self._known.move_to_end(token)
        return Session("", "", token)

    def forget(self, session: Session) -> None:
        """The server accepts it no longer."""
        if session.token is not None:
            self._known.pop(session.token, None)


def create_app(settings: WebSettings) -> Starlette:
    """DeepFace's API for one server."""
    gateway = Gateway(settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        gateway.close()

    tokens = Tokens(gateway)
    return Starlette(
        routes=[Route("/", _home), *(_route(gateway, tokens, path) for path in _OPERATIONS)],
        middleware=[Middleware(NoBrowsers, names=settings.names), Middleware(BodyBudget, most=settings.max_held)],
        exception_handlers={BodyError: _unreadable, ClientDisconnect: _left, HTTPException: _http_error},
        lifespan=lifespan,
    )


async def _home(_: Request) -> Response:
    return HTMLResponse(_WELCOME)


def _route(gateway: Gateway, tokens: Tokens, path: str) -> Route:
    answer, doing, changes = _OPERATIONS[path]

    async def endpoint(request: Request) -> Response:
        session: Session | None = None
        try:
            session = await tokens.session(request.headers.get("authorization"))
            asked = await asked_by(request, gateway.settings.max_picture)
            told = await gateway.ask(session, lambda client: answer(client, asked), changes=changes)
        except NoPicture as error:
            return JSONResponse({"exception": str(error)}, 400)
        except Refused as error:
            return _error(doing, str(error), 400)
        except Unauthorized:
            if session is not None:
                tokens.forget(session)
            return JSONResponse({"message": _NO_TOKEN}, 401, headers={"WWW-Authenticate": "Bearer"})
        except FAILURES as error:
            return _failure(doing, error)
        return JSONResponse(told)

    return Route(path, endpoint, methods=["POST"])


def _error(doing: str, message: str, status: int, retry_after_ms: int | None = None) -> JSONResponse:
    headers = {} if retry_after_ms is None else {"Retry-After": str(max(1, round(retry_after_ms / 1000)))}
    return JSONResponse({"error": f"Exception while {doing}: {message}"}, status, headers=headers)


def _failure(doing: str, what: Exception) -> JSONResponse:
    """DeepFace answers 400 whatever happens; so do we, except where another status tells a client to try again, or that
    it is not at fault."""
    if isinstance(what, ServerRefused):
        status = STATUS[what.code]
        kept = status if status in (403, 413) or status >= 500 else 400
        return _error(doing, what.message, kept, what.retry_after_ms)
    if isinstance(what, ServerTimeout):
        return _error(doing, str(what), 504)
    if isinstance(what, ConnectionLost):
        return _error(doing, f"the facewire server can't be reached: {what}", 503)
    if isinstance(what, Overloaded):
        return _error(doing, str(what), 503, 1000)
    return _error(doing, str(what), 502 if isinstance(what, ClientError) else 400)


async def _unreadable(_: Request, what: Exception) -> Response:
    assert isinstance(what, BodyError)
    headers = {"connection": "close"}  # data still arriving is read and discarded: see connections.py
    if what.retry_after_ms is not None:
        headers["Retry-After"] = str(max(1, round(what.retry_after_ms / 1000)))
    return JSONResponse({"exception": str(what)}, what.status, headers=headers)


async def _left(_: Request, __: Exception) -> Response:
    return Response(status_code=400)  # never read by anybody


async def _http_error(_: Request, what: Exception) -> Response:
    assert isinstance(what, HTTPException)
    return JSONResponse({"error": what.detail}, what.status_code)
