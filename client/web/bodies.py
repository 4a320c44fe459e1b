"""Reads uploads as they arrive, and refuses them as soon as they are too large. For their minimum rate see
places.py."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_JSON = 256 * 1024  # a change of a thousand templates takes 10 KB
_MAX_DEPTH = 16  # of JSON; the deepest request needs 5
_INTEGERS = range(-(2**63), 2**64)  # what the wire can carry
# Bytes of a request answered early that are still read and discarded, so that the answer arrives: to a browser that is
# still sending, a closed connection looks like a dead gateway. Larger requests are cut off.
MAX_DROPPED = 64 * 1024 * 1024
MAX_TEXT = 1000  # characters of a name: like labels on the wire


class BodyError(Exception):
    """A request that can't be read: HTTP status, error code and message; `retry_after_ms` if it may work later."""

    def __init__(self, status: int, code: str, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_ms = retry_after_ms


class BodyBudget:
    """ASGI middleware that limits the bodies of all requests under way to `most` bytes in total.

    Each route limits a single upload; without this, two hundred of them could take two hundred times that.
    """

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app = app
        self._most = most
        self._held = 0  # used by the event loop's thread only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        own = 0

        async def receive_counted() -> Message:
            nonlocal own
            message = await receive()
            size = len(message.get("body", b""))
            if self._held + size > self._most:
                raise BodyError(503, "busy", "too much is being uploaded at once; try again in a moment", 1000)
            own += size
            self._held += size
            return message

        try:
            await self._app(scope, receive_counted, send)
        finally:
            self._held -= own


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, at most `limit` bytes. Raises BodyError."""
    too_large = BodyError(413, "too_large", f"this is larger than the {limit / 1024 / 1024:g} MiB that can be taken")
    if int(request.headers.get("content-length", "0")) > limit:  # h11 has checked that it is a number
        raise too_large
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise too_large
        pieces.append(piece)
    return b"".join(pieces)


async def read_json(request: Request) -> object:
    """The body as JSON. Raises BodyError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BodyError(415, "invalid_request", "send this as application/json")
    return parse_json(await read_body(request, MAX_JSON), "this")


def parse_json(said: bytes | str, what: str) -> Any:
    """Parses JSON that the wire can carry. Raises BodyError, whose message calls it `what`."""
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        raise BodyError(400, "invalid_request", f"{what} is not JSON") from None
    check_plain(value, what)
    return value


def check_plain(value: object, what: str) -> None:
    """Refuses values that the wire can't carry: lone surrogates, infinity, huge integers, deep nesting.

    Raises BodyError.
    """
    left = [(value, 1)]
    while left:
        item, depth = left.pop()
        if depth > _MAX_DEPTH:
            raise BodyError(400, "invalid_request", f"{what} has more than {_MAX_DEPTH} levels")
        if isinstance(item, str) and not item.isprintable() and any("\ud800" <= c <= "\udfff" for c in item):
            raise BodyError(400, "invalid_request", f"{what} has a text with half a character (a lone surrogate)")
        if (isinstance(item, float) and not isfinite(item)) or (isinstance(item, int) and item not in _INTEGERS):
            raise BodyError(400, "invalid_request", f"{what} has a number that is too large")
        if isinstance(item, dict):
            left += [(key, depth) for key in item]
            left += [(one, depth + 1) for one in item.values()]
        elif isinstance(item, list):
            left += [(one, depth + 1) for one in item]


def text(request: Request, key: str, default: str | None = None) -> str:
    """A string parameter of the query. Raises BodyError if it is missing or too long."""
    value = request.query_params.get(key, default)
    if value is None:
        raise BodyError(400, "invalid_request", f"'{key}' is missing")
    if len(value) > MAX_TEXT:
        raise BodyError(400, "invalid_request", f"'{key}' has more than {MAX_TEXT} characters")
    return value


def number(request: Request, key: str, default: int | None = None) -> int:
    """An integer parameter of the query. Raises BodyError."""
    value = text(request, key, None if default is None else str(default))
    if not value.isascii() or not value.isdigit() or len(value) > 16:
        raise BodyError(400, "invalid_request", f"'{key}' must be a whole number")
    return int(value)
