"""Keeps web pages of other sites from using the API through a visitor's browser.

DeepFace's own API lets every page do that (CORS for all). Here a request must be for one of the gateway's names, which
prevents DNS rebinding, and may not come from a page.
"""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from facewire.client.web.guard import guarded, host_name


class NoBrowsers:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, names: frozenset[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(HTTPConnection(scope))
        await (refusal or self._app)(scope, receive, guarded(send))

    def _refusal(self, connection: HTTPConnection) -> JSONResponse | None:
        headers = connection.headers
        if host_name(headers.get("host", "")) not in self._names:
            why = "this API doesn't answer to that host name; web_app.py --name adds one"
            return JSONResponse({"error": why}, 421)
        if "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return JSONResponse({"error": "the request came from a web page, and none may use this API"}, 403)
        return None
