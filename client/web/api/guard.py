"""Checks of every request to the API, which knows no cookie: whatever a browser adds by itself counts for nothing.

- Host must be one of the gateway's names, to prevent DNS rebinding.
- Pages of other sites are refused, by Origin and Sec-Fetch-Site, unless `--cors-origin` names them.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from facewire.client.web.api.problems import problem
from facewire.client.web.guard import guarded, host_name


class ApiGuard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, names: frozenset[str], origins: frozenset[str]) -> None:
        """`names`: hosts; `origins`: of pages that may ask, besides our own."""
        self._app = app
        self._names = names
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope, Headers(scope=scope))
        await (refusal or self._app)(scope, receive, guarded(send))

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        if host_name(headers.get("host", "")) not in self._names:
            return problem(421, "forbidden", "this host name is not served; web_app.py --name adds one")
        origin = headers.get("origin")
        if origin is None:
            foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        else:
            foreign = origin not in self._origins and origin != f"{scope['scheme']}://{headers.get('host', '')}"
        if foreign:
            return problem(403, "forbidden", "requests from another site's pages are refused; --cors-origin allows one")
        try:
            unquote_to_bytes(scope["query_string"]).decode()
        except UnicodeDecodeError:
            return problem(400, "invalid_request", "the URL contains text that is not UTF-8")
        return None
