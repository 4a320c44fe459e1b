"""The ASGI application: routes, middleware and error handling."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from facewire.client.web import assets, downloads, imports, live, operations, originals, pages, pictures, searching
from facewire.client.web.answers import FAILURES, error, failure
from facewire.client.web.api.app import create_api
from facewire.client.web.api.problems import PREFIX, problem
from facewire.client.web.bodies import BodyBudget, BodyError
from facewire.client.web.gateway import Gateway
from facewire.client.web.guard import Guard
from facewire.client.web.readable import Readable
from facewire.client.web.settings import WebSettings


def create_app(settings: WebSettings) -> Starlette:
    """The page and the API for one server, or the API alone."""
    gateway = Gateway(settings)
    mounted = [Mount(PREFIX, create_api(settings, gateway))]
    if not settings.api_only:
        mounted.append(Mount("/", Readable(_page(settings, gateway))))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        gateway.close()

    return Starlette(
        routes=mounted,
        middleware=[Middleware(BodyBudget, most=settings.max_held)],
        exception_handlers={HTTPException: _nothing_here},
        lifespan=lifespan,
    )


def _page(settings: WebSettings, gateway: Gateway) -> Starlette:
    page = Starlette(
        routes=_routes(),
        middleware=[Middleware(Guard, names=settings.names, sessions=gateway.sessions)],
        exception_handlers={
            BodyError: _unreadable,
            ClientDisconnect: _left,
            HTTPException: pages.http_error,
            **dict.fromkeys(FAILURES, _failed),
        },
    )
    page.state.gateway = gateway
    page.state.assets = assets.Assets()
    page.state.imports = imports.Imports(gateway)
    return page


def _routes() -> list[BaseRoute]:
    return [
        *pages.ROUTES,
        *operations.ROUTES,
        *pictures.ROUTES,
        *originals.ROUTES,
        *searching.ROUTES,
        *downloads.ROUTES,
        *imports.ROUTES,
        WebSocketRoute("/api/live", live.live),
        Route("/favicon.ico", pages.favicon),
        *assets.ROUTES,
    ]


async def _nothing_here(_: Request, what: Exception) -> Response:
    assert isinstance(what, HTTPException)
    return problem(what.status_code, "unsupported_op", f"there is nothing here; the API is at {PREFIX}")


async def _unreadable(_: Request, what: Exception) -> Response:
    assert isinstance(what, BodyError)
    response = error(what.status, what.code, str(what), what.retry_after_ms)
    response.headers["connection"] = "close"  # data still arriving is read and discarded: see connections.py
    return response


async def _left(_: Request, __: Exception) -> Response:
    return Response(status_code=400)  # never read by anybody


async def _failed(_: Request, what: Exception) -> Response:
    return failure(what)
