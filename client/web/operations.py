"""All operations without pictures: `POST /api/op/NAME` with the request's keys as JSON, answered as on the wire.

The protocol's types check the keys, so this module only lists which operations the page may use.
"""

from __future__ import annotations

from typing import Any

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from facewire.client.web.answers import error, plain
from facewire.client.web.bodies import read_json
from facewire.client.web.gateway import gateway_of, session_of
from facewire.protocol.messages import RequestBody
from facewire.protocol.schema import REQUEST_OF, from_plain

_LOOKING = (
    "people", "show", "history", "stats", "ping",
    "album.list", "album.status", "album.folders",
    "album.photos", "album.days", "album.faces", "album.names", "album.people", "album.history", "album.suggest",
)  # fmt: skip
_CHANGING = (
    "rename", "merge", "split", "remove", "erase", "undo",
    "album.create", "album.rename", "album.delete", "album.remove", "album.process",
    "album.label", "album.merge", "album.split", "album.move", "album.not", "album.different", "album.hide",
    "album.stranger", "album.favourite",
    "album.undo", "album.recognise", "album.enrol", "album.draw_face", "album.redraw_face", "album.remove_face",
)  # fmt: skip


async def operate(request: Request) -> JSONResponse:
    """Runs one operation. `show` never sends crops, because each picture has its own URL."""
    op = request.path_params["op"]
    if op not in _LOOKING and op not in _CHANGING:
        return error(404, "unsupported_op", "the page has no such operation")
    keys = await read_json(request)
    if op == "show" and isinstance(keys, dict):
        keys = {**keys, "crops": False}
    if op == "album.process" and isinstance(keys, dict):
        keys = {**keys, "wait": False}  # the page polls the status instead, so that it can be closed
    return JSONResponse(await asked(request, op, keys))


async def asked(request: Request, op: str, keys: object) -> Any:
    """The server's answer to this browser, plain and without bytes. Raises ClientError, ProtocolError, Overloaded."""
    body: RequestBody = from_plain(REQUEST_OF[op], keys, strict=True)
    return plain(
        await gateway_of(request).ask(session_of(request), lambda client: client.ask(body), changes=op in _CHANGING)
    )


# Lengths tell nothing (BREACH): another site can't make a browser send these
_PACKED = Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)
ROUTES = [Route("/api/op/{op}", operate, methods=["POST"], middleware=[_PACKED])]
