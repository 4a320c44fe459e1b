"""Searches an album by sample pictures, people and faces: a form with a JSON part `search` and the pictures."""

from __future__ import annotations

from typing import Any, TypeVar

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from facewire.client.web.answers import result
from facewire.client.web.bodies import BodyError, parse_json
from facewire.client.web.forms import read_form
from facewire.client.web.gateway import gateway_of, session_of
from facewire.protocol.albums.export import AlbumExport
from facewire.protocol.albums.search import AlbumSearch
from facewire.protocol.schema import from_plain

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
    limit = gateway_of(request).settings.max_picture
    form = await read_form(request, limit, max_files=MAX_SAMPLES, max_fields=1)
    try:
        pictures = [await file.read() for file in form.getlist("picture") if isinstance(file, UploadFile)]
        said = form.get(part)
    finally:
        await form.close()
    keys = parse_json(said if isinstance(said, str) else "", f"the part '{part}'")
    body: Wanted = from_plain(shape, _with_pictures(keys, pictures), strict=True)
    return body


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


ROUTES = [
    Route("/api/album/search", search, methods=["POST"]),
    Route("/api/album/export", prepare_export, methods=["POST"]),
]
