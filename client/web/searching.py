"""Searches an album by sample pictures, people and faces: a form with a JSON part `search` and the pictures."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Message

from facewire.client.web.answers import result
from facewire.client.web.bodies import BodyError, parse_json
from facewire.client.web.gateway import gateway_of, session_of
from facewire.protocol.albums.export import AlbumExport
from facewire.protocol.albums.search import AlbumSearch
from facewire.protocol.shapes import from_plain

MAX_BOUNDARY = 70  # characters: RFC 2046
MAX_SAMPLES = 16  # sample pictures, which must fit one frame
Wanted = TypeVar("Wanted", AlbumSearch, AlbumExport)


async def search(request: Request) -> JSONResponse:
    """Finds the photos that show the wanted people."""
    body = await _read(request, "search", AlbumSearch)
    return result(await gateway_of(request).ask(session_of(request), lambda client: client.ask(body)))


async def prepare_export(request: Request) -> JSONResponse:
    """Prepares a ZIP of an album, of people, of photos or of a search, for downloads.py to send."""
    body = await _read(request, "export", AlbumExport)
    gateway, session = gateway_of(request), session_of(request)
    prepared = await gateway.ask(session, lambda client: client.ask(body))
    gateway.keep_export(session, prepared)
    return result(prepared)


async def _read(request: Request, part: str, shape: type[Wanted]) -> Wanted:
    """Converts a form to a request of the wire.

    The form's `part` holds the request as JSON; in it, a sample is `{"picture": n, "leave_out": [...]}`, where n is the
    index of a file among the parts called `picture`. Raises BodyError and ProtocolError.
    """
    form = await _form(request, gateway_of(request).settings.max_picture)
    try:
        pictures = [await file.read() for file in form.getlist("picture") if isinstance(file, UploadFile)]
        said = form.get(part)
    finally:
        await form.close()
    keys = parse_json(said if isinstance(said, str) else "", f"the part '{part}'")
    body: Wanted = from_plain(shape, _with_pictures(keys, pictures), strict=True)
    return body


async def _form(request: Request, limit: int) -> FormData:
    """The parts of a form of at most `limit` bytes. Raises BodyError."""
    kind, _, boundary = request.headers.get("content-type", "").partition("boundary=")
    boundary = boundary.partition(";")[0].strip(' "')
    if kind.partition(";")[0].strip().lower() != "multipart/form-data" or not 0 < len(boundary) <= MAX_BOUNDARY:
        raise BodyError(415, "invalid_request", "this must be sent as multipart/form-data, with its boundary")
    # Pass on only the boundary: an invalid charset would crash the parser
    headers = Headers({"Content-Type": f'multipart/form-data; boundary="{boundary}"'})
    stream = Request(request.scope, _Limited(request, limit)).stream()
    try:
        return await _InMemory(headers, stream, max_files=MAX_SAMPLES, max_fields=1, max_part_size=limit).parse()
    except MultiPartException as reason:
        raise BodyError(400, "invalid_request", reason.message) from None


class _InMemory(MultiPartParser):
    """Never writes pictures to disk; `_Limited` and BodyBudget bound the memory."""

    spool_max_size = sys.maxsize


def _with_pictures(keys: Any, pictures: list[bytes]) -> Any:
    """The same with `"image": bytes` in place of `"picture": n`, at any depth."""
    if isinstance(keys, list):
        return [_with_pictures(item, pictures) for item in keys]
    if not isinstance(keys, dict):
        return keys
    whole = {key: _with_pictures(item, pictures) for key, item in keys.items()}
    if "picture" in whole:
        place = whole.pop("picture")
        if type(place) is not int or not 0 <= place < len(pictures):
            raise BodyError(400, "invalid_request", "a sample must name one of the pictures sent")
        whole["image"] = pictures[place]
    return whole


class _Limited:
    """`receive` that refuses more than `limit` bytes in all."""

    def __init__(self, request: Request, limit: int) -> None:
        self._receive = request.receive
        self._left = limit

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise BodyError(413, "too_large", "these pictures are too large together; send fewer or smaller ones")
        return message


ROUTES = [
    Route("/api/album/search", search, methods=["POST"]),
    Route("/api/album/export", prepare_export, methods=["POST"]),
]
