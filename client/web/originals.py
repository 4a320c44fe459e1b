"""Sends the originals of photos and videos as fast as they are read: small photos at once, anything else in pieces, and
of a video the part that `Range` asks for, as browsers do to play it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from facewire.client.face_client import FaceClient
from facewire.client.web.bodies import number, text
from facewire.client.web.gateway import gateway_of, session_of
from facewire.client.web.pictures import KEEP, attachment, picture
from facewire.client.web.streaming import pieces
from facewire.protocol.albums.looking import MAX_PHOTO_READ, PHOTO_READ, AlbumPhotoPiece, AlbumPhotoRead
from facewire.protocol.formats import VIDEO_FORMATS

Ask = Callable[[Callable[[FaceClient], AlbumPhotoPiece]], Awaitable[Any]]
Sent = Callable[[bytes, int, int], AsyncIterator[bytes]]
"""Sends an original's bytes from one place to another, of which the first piece has been read."""

_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})?")
_PLAYED = frozenset(form.mime for form in VIDEO_FORMATS)


async def original(request: Request, album: str, photo: int, ask: Ask, *, save: bool = False) -> Response:
    """The original, or a part of it. `save`: as a file to save, under its own name."""
    start, last = _range(request)
    wanted = MAX_PHOTO_READ if last is None else min(MAX_PHOTO_READ, last + 1 - (start or 0))
    first = await _piece(ask, album, photo, start or 0, wanted)  # an error here can still be answered

    def sent(piece: bytes, at: int, until: int) -> AsyncIterator[bytes]:
        async def read(offset: int) -> bytes:
            return (await _piece(ask, album, photo, offset, min(PHOTO_READ, until - offset))).data

        return pieces(read, piece, at, until, "an original")

    if first.type in _PLAYED:
        response = _video(first, start, last, sent)
    else:
        if start is not None:
            first = await _piece(ask, album, photo, 0, MAX_PHOTO_READ)
        response = _photo(first, sent)
    if save:
        response.headers["Content-Disposition"] = attachment(first.name)
    return response


def _range(request: Request) -> tuple[int | None, int | None]:
    """The first and the last byte that are asked for; None: no range, or up to the end."""
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None:
        return None, None
    start, last = int(asked[1]), int(asked[2]) if asked[2] else None
    return (None, None) if last is not None and last < start else (start, last)  # by RFC 9110, no range at all


def _photo(first: AlbumPhotoPiece, sent: Sent) -> Response:
    response = picture(first.data)
    if len(first.data) == first.size_bytes:
        return response
    headers = {**response.headers, "content-length": str(first.size_bytes)}
    return StreamingResponse(sent(first.data, 0, first.size_bytes), 200, headers)


def _video(first: AlbumPhotoPiece, start: int | None, last: int | None, sent: Sent) -> Response:
    at, size = start or 0, first.size_bytes
    if at >= size:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    until = size if last is None else min(size, last + 1)
    headers = {"Cache-Control": KEEP, "Content-Length": str(until - at), "Accept-Ranges": "bytes"}
    if start is not None:
        headers["Content-Range"] = f"bytes {at}-{until - 1}/{size}"
    status = 200 if start is None else 206
    return StreamingResponse(sent(first.data, at, until), status, headers, media_type=first.type)


async def album_photo(request: Request) -> Response:
    """A photo of an album; with `size`, a thumbnail; with `save`, as a file to save."""
    album, photo, size = text(request, "album"), number(request, "photo"), number(request, "size", 0)
    ask = partial(gateway_of(request).ask, session_of(request))
    save = "save" in request.query_params
    if not size:
        return await original(request, album, photo, ask, save=save)
    found = await ask(lambda client: client.albums.photo(album, photo, size))
    response = picture(found.image)
    if save:
        response.headers["Content-Disposition"] = attachment(found.name)
    return response


async def _piece(ask: Ask, album: str, photo: int, at: int, size: int) -> AlbumPhotoPiece:
    read = AlbumPhotoRead(album, photo, at, size)
    found: AlbumPhotoPiece = await ask(lambda client: client.ask(read))
    return found


ROUTES = [Route("/api/album/photo", album_photo)]
