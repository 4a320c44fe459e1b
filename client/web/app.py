"""The ASGI application: routes, middleware and error handling."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from facewire.client.web import downloads, imports, live, operations, pages, pictures, searching
from facewire.client.web.answers import FAILURES, error, failure
from facewire.client.web.bodies import BodyBudget, BodyError
from facewire.client.web.gateway import Gateway
from facewire.client.web.guard import Guard
from facewire.client.web.settings import WebSettings

STATIC = Path(__file__).with_name("static")

# Types that a system's own table may lack or have wrong; with nosniff, browsers refuse modules of any other type.
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class _Static(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        kind = _TYPES.get(Path(path).suffix)
        if kind is not None:
            response.headers["content-type"] = f"{kind}; charset=utf-8"
        response.headers["cache-control"] = "no-cache"  # cached, but revalidated by ETag
        return response


def create_app(settings: WebSettings) -> Starlette:
    """The page for one server."""
    gateway = Gateway(settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        gateway.close()

    app = Starlette(
        routes=_routes(),
        middleware=[
            Middleware(Guard, names=settings.names, sessions=gateway.sessions),
            Middleware(BodyBudget, most=settings.max_held),
        ],
        exception_handlers={
            BodyError: _unreadable,
            ClientDisconnect: _left,
            HTTPException: pages.http_error,
            **dict.fromkeys(FAILURES, _failed),
        },
        lifespan=lifespan,
    )
    app.state.gateway = gateway
    app.state.imports = imports.Imports(gateway)
    return app


def _routes() -> list[BaseRoute]:
    return [
        *pages.ROUTES,
        *operations.ROUTES,
        *pictures.ROUTES,
        *searching.ROUTES,
        *downloads.ROUTES,
        *imports.ROUTES,
        WebSocketRoute("/api/live", live.live),
        Route("/favicon.ico", pages.favicon),
        Mount("/static", _Static(directory=STATIC), name="static"),
    ]


async def _unreadable(_: Request, what: Exception) -> Response:
    assert isinstance(what, BodyError)
    response = error(what.status, what.code, str(what), what.retry_after_ms)
    response.headers["connection"] = "close"  # data still arriving is read and discarded: see connections.py
    return response


async def _left(_: Request, __: Exception) -> Response:
    return Response(status_code=400)  # never read by anybody


async def _failed(_: Request, what: Exception) -> Response:
    return failure(what)
