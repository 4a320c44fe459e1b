"""All operations without pictures: `POST /api/op/NAME` with the request's keys as JSON, answered as on the wire.

The protocol's types check the keys, so this module only lists which operations the page may use.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from facewire.client.web.answers import error, result
from facewire.client.web.bodies import read_json
from facewire.client.web.gateway import gateway_of, session_of
from facewire.protocol.asks import REQUEST_OF
from facewire.protocol.messages import RequestBody
from facewire.protocol.shapes import from_plain

_LOOKING = (
    "people", "show", "history", "stats", "ping",
    "album.list", "album.status", "album.folders",
    "album.photos", "album.faces", "album.people", "album.history", "album.suggest",
)  # fmt: skip
_CHANGING = (
    "rename", "merge", "split", "remove", "erase", "undo",
    "album.create", "album.rename", "album.delete", "album.remove", "album.process",
    "album.label", "album.merge", "album.split", "album.move", "album.not", "album.different", "album.hide",
    "album.undo", "album.recognise", "album.enrol",
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
    body: RequestBody = from_plain(REQUEST_OF[op], keys, strict=True)
    answer = await gateway_of(request).ask(
        session_of(request), lambda client: client.ask(body), changes=op in _CHANGING
    )
    return result(answer)


ROUTES = [Route("/api/op/{op}", operate, methods=["POST"])]
