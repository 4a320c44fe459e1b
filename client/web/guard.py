"""Checks of every request, and security headers of every answer.

- Host must be one of the page's names, to prevent DNS rebinding.
- Requests from other sites are refused by Sec-Fetch-Site and Origin, except for links to a page.
- Changes must carry the session's CSRF token, too.
- Every answer forbids MIME sniffing, framing, foreign scripts, inline scripts and inline styles.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facewire.client.web.answers import error
from facewire.client.web.assets import KEEP
from facewire.client.web.sessions import Session, Sessions

CSRF_HEADER = "x-csrf-token"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORMS = frozenset({"/login", "/logout"})  # forms without scripts carry the token in a field, which pages.py checks

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",  # blob: pictures chosen but not yet sent
        "media-src 'self' blob:",
        "connect-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",  # text can't become HTML, even by mistake
        # For the one URL from which uploading.js starts a worker, and for templates, which are the code's own words
        "trusted-types upload-worker lit-html",
    )
)
_OWN_STYLES = "style-src 'self'"


def policy(styles: str) -> str:
    """The policy of a page that has these styles in it: they may be there, letter for letter, and no others."""
    digest = base64.b64encode(hashlib.sha256(styles.encode()).digest()).decode()
    return CONTENT_SECURITY_POLICY.replace(_OWN_STYLES, f"{_OWN_STYLES} 'sha256-{digest}'")


HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send our own form with the Origin "null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
}
# Scripts and styles below their hash are parts of a page, whose policy holds for them; the other headers would be 15 kB
# of a view. Without a hash, a script can be a worker, whose policy is its own.
_OF_PARTS = {name: HEADERS[name] for name in ("X-Content-Type-Options", "Cross-Origin-Resource-Policy")}
_PARTS = ("text/javascript", "text/css")


class Guard:
    """ASGI middleware; puts the browser's Session into `request.state.session`."""

    def __init__(self, app: ASGIApp, *, names: frozenset[str], sessions: Sessions) -> None:
        self._app = app
        self._names = names
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        session, is_new = self._session_of(connection)
        refusal = self._refusal(connection, session)
        secure = scope["scheme"] in ("https", "wss")
        cookie = (
            _cookie(session, secure=secure, name=cookie_name(connection))
            if is_new and scope["type"] == "http"
            else None
        )

        async def send_guarded(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                _complete(MutableHeaders(scope=message), cookie)
            await send(message)

        if refusal is not None:
            await refusal(scope, receive, send_guarded)
            return
        scope.setdefault("state", {})["session"] = session
        await self._app(scope, receive, send_guarded)

    def _session_of(self, connection: HTTPConnection) -> tuple[Session, bool]:
        session_id = connection.cookies.get(cookie_name(connection))
        if session_id is None or not 20 <= len(session_id) <= 100 or not session_id.isascii():
            return self._sessions.new(), True
        return self._sessions.find(session_id), False

    def _refusal(self, connection: HTTPConnection, session: Session) -> Response | None:
        headers = connection.headers
        if host_name(headers.get("host", "")) not in self._names:
            return error(421, "forbidden", "the page doesn't answer to that host name; web_app.py --name adds one")
        try:
            is_ours = _same_origin(connection.scope, headers)
        except ValueError:
            return error(400, "invalid_request", "the Origin header doesn't name an origin")
        if not is_ours:
            return error(403, "forbidden", "the request came from another site's page")
        if connection.scope["type"] == "websocket":
            return None
        if connection.scope["method"] in _SAFE_METHODS or connection.scope["path"] in _FORMS:
            return None
        if not session.is_csrf(headers.get(CSRF_HEADER, "")):
            return error(403, "stale", "the gateway was restarted after this page was opened; reload it")
        try:
            unquote_to_bytes(connection.scope["query_string"]).decode()
        except UnicodeDecodeError:  # which Starlette would replace, and a person be enrolled by the name that results
            return error(400, "invalid_request", "the URL contains text that is not UTF-8")
        return None


def guarded(send: Send) -> Send:
    """`send` for an API that knows no cookie: every answer has the security headers, and is kept nowhere by default."""

    async def send_guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return send_guarded


def cookie_name(connection: HTTPConnection) -> str:
    """The session cookie's name. Cookies ignore ports, so pages on two ports of a machine need different names."""
    _, _, port = connection.headers.get("host", "").rpartition(":")
    return f"facewire-{port}" if port.isdigit() else "facewire"


def set_session(connection: HTTPConnection, response: Response, session: Session) -> None:
    """Sets the browser's session."""
    secure = connection.scope["scheme"] == "https"
    response.headers.append("set-cookie", _cookie(session, secure=secure, name=cookie_name(connection)))


def _same_origin(scope: Scope, headers: Headers) -> bool:
    """Does the request come from the page itself? Raises ValueError for an invalid Origin, such as `http://[`."""
    origin = headers.get("origin")
    if origin is not None:
        said = urlsplit(origin)
        secure = scope["scheme"] in ("https", "wss")  # then http:// of the same name is another origin
        return said.netloc == headers.get("host", "") and (said.scheme == "https" or not secure)
    if scope["type"] == "websocket":
        return False  # browsers always send the Origin of a websocket
    site = headers.get("sec-fetch-site", "same-origin")
    if site in ("same-origin", "none"):
        return True
    is_link = headers.get("sec-fetch-mode") == "navigate" and scope["method"] == "GET"
    return is_link and not scope["path"].startswith("/api/")


def host_name(host: str) -> str:
    """A Host header without its port, in lower case."""
    name, _, port = host.lower().rpartition(":")
    return name if name and port.isdigit() else host.lower()


def _cookie(session: Session, *, secure: bool, name: str) -> str:
    return f"{name}={session.id}; Path=/; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"


def _complete(headers: MutableHeaders, cookie: str | None) -> None:
    is_part = headers.get("cache-control") == KEEP and headers.get("content-type", "").startswith(_PARTS)
    for name, value in (_OF_PARTS if is_part else HEADERS).items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")
    if cookie is not None and "set-cookie" not in headers:
        headers.append("set-cookie", cookie)
