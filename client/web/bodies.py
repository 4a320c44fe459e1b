"""Uploads: read as they come, refused the moment they are too large or stop coming."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_JSON = 256 * 1024  # a change that names a thousand templates has 10 KB
STALL_S = 30.0  # without a byte: the wire's own limit for a frame
# Read and dropped of what is too large, so that the answer arrives: a connection closed on a browser that still sends
# looks to it like a gateway that has died. What is larger than that is cut off.
MAX_DROPPED = 64 * 1024 * 1024
MAX_TEXT = 1000  # characters of a name: as the wire has it for labels


class BodyError(Exception):
    """A request that can't be read: an HTTP status, a code and words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class BodyBudget:
    """ASGI middleware: what all requests under way have sent so far may have `most` bytes together.

    One upload is limited by its route; without this, two hundred of them would still be two hundred times that.
    """

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app = app
        self._most = most
        self._held = 0  # touched by the event loop's thread only

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
                raise BodyError(503, "busy", "too much is being uploaded at once; try again in a moment")
            own += size
            self._held += size
            return message

        try:
            await self._app(scope, receive_counted, send)
        finally:
            self._held -= own


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, of at most `limit` bytes. Raises BodyError."""
    too_large = BodyError(413, "too_large", f"this is larger than the {limit / 1024 / 1024:g} MiB that can be taken")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        if int(declared) <= limit + MAX_DROPPED:
            async for _ in _pieces(request):
                pass
        raise too_large
    pieces: list[bytes] = []
    size = 0
    async for piece in _pieces(request):
        size += len(piece)
        if size > limit:
            raise too_large
        pieces.append(piece)
    return b"".join(pieces)


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises BodyError where it stops coming."""
    chunks = request.stream()
    while True:
        try:
            async with asyncio.timeout(STALL_S):
                piece = await anext(chunks, None)
        except TimeoutError:
            raise BodyError(408, "timeout", "the upload stopped on its way") from None
        if piece is None:
            return
        yield piece


async def read_json(request: Request) -> object:
    """The body as JSON. Raises BodyError."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise BodyError(415, "invalid_request", "this must be sent as application/json")
    body = await read_body(request, MAX_JSON)
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BodyError(400, "invalid_request", "this is no JSON") from None


def text(request: Request, key: str, default: str | None = None) -> str:
    """A text of the query. Raises BodyError where it is missing or too long."""
    value = request.query_params.get(key, default)
    if value is None:
        raise BodyError(400, "invalid_request", f"'{key}' is missing")
    if len(value) > MAX_TEXT:
        raise BodyError(400, "invalid_request", f"'{key}' has more than {MAX_TEXT} characters")
    return value


def number(request: Request, key: str, default: int | None = None) -> int:
    """A whole number of the query. Raises BodyError."""
    value = text(request, key, None if default is None else str(default))
    if not value.isascii() or not value.isdigit() or len(value) > 16:
        raise BodyError(400, "invalid_request", f"'{key}' must be a whole number")
    return int(value)
