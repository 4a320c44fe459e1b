"""Forwards ZIP files piece by piece, as fast as the browser reads them."""

from __future__ import annotations

import re
from functools import partial

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from facewire.client.face_client import FaceClient
from facewire.client.web.answers import error
from facewire.client.web.bodies import text
from facewire.client.web.gateway import Gateway, gateway_of, session_of
from facewire.client.web.pictures import attachment
from facewire.client.web.sessions import Session
from facewire.client.web.streaming import pieces
from facewire.protocol.albums.export import EXPORT_READ, AlbumExported, AlbumExportPiece, AlbumExportRead

_FROM = re.compile(r"bytes=(\d{1,15})-")  # sent by a browser that resumes a download


async def download(request: Request) -> Response:
    """A prepared ZIP, whole or from an offset on."""
    gateway, session = gateway_of(request), session_of(request)
    prepared = gateway.export(session, text(request, "export"))
    if prepared is None:
        return error(404, "gone", "this download has expired; prepare it again")
    asked = _FROM.fullmatch(request.headers.get("range", ""))
    offset = int(asked[1]) if asked else 0
    size = prepared.size_bytes
    headers = {
        "Content-Disposition": attachment(prepared.name),
        "Accept-Ranges": "bytes",
        "ETag": f'"{prepared.export}"',
    }
    if offset > 0 and offset >= size:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    headers["Content-Length"] = str(size - offset)
    if asked:
        headers["Content-Range"] = f"bytes {offset}-{size - 1}/{size}"
    first = await _piece(gateway, session, prepared, offset)  # an error here can still be answered
    sent = pieces(partial(_piece, gateway, session, prepared), first, offset, size, "a download")
    return StreamingResponse(sent, 206 if asked else 200, headers, media_type="application/zip")


async def _piece(gateway: Gateway, session: Session, zip_: AlbumExported, offset: int) -> bytes:
    read = AlbumExportRead(zip_.export, offset, EXPORT_READ)
    return (await gateway.ask(session, partial(_read, read))).data


def _read(piece: AlbumExportRead, client: FaceClient) -> AlbumExportPiece:
    return client.ask(piece)


ROUTES = [Route("/api/album/download", download)]
