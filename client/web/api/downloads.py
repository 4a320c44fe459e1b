"""Sends an export piece by piece, as fast as the caller reads it; a download resumes with `Range: bytes=N-`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from facewire.client.face_client import FaceClient
from facewire.client.web.streaming import pieces
from facewire.protocol.albums.export import EXPORT_READ, AlbumExportPiece, AlbumExportRead

_FROM = re.compile(r"bytes=(\d{1,15})-")

Ask = Callable[[Callable[[FaceClient], AlbumExportPiece]], Awaitable[Any]]


async def download(request: Request, export: str, ask: Ask) -> Response:
    """A prepared ZIP, whole or from an offset on."""
    asked = _FROM.fullmatch(request.headers.get("range", ""))
    offset = int(asked[1]) if asked else 0
    first = await _piece(ask, export, offset)  # an error here can still be answered
    size = first.size_bytes
    if offset > 0 and offset >= size:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    headers = {
        "Content-Disposition": "attachment; filename=album.zip",
        "Accept-Ranges": "bytes",
        "Content-Length": str(size - offset),
    }
    if asked:
        headers["Content-Range"] = f"bytes {offset}-{size - 1}/{size}"

    async def read(at: int) -> bytes:
        return (await _piece(ask, export, at)).data

    sent = pieces(read, first.data, offset, size, "a download")
    return StreamingResponse(sent, 206 if asked else 200, headers, media_type="application/zip")


async def _piece(ask: Ask, export: str, offset: int) -> AlbumExportPiece:
    read = AlbumExportRead(export, offset, EXPORT_READ)
    found: AlbumExportPiece = await ask(lambda client: client.ask(read))
    return found
