"""Carries a client's requests over the HTTP API, as JSON."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlencode

from facewire.client import ServerRefused
from facewire.client.errors import refused
from facewire.client.transport import OnProgress
from facewire.client.web.api.reading import with_bytes
from facewire.client.web.api.table import ROUTES
from facewire.protocol.errors import ErrorCode
from facewire.protocol.messages import Failure
from facewire.protocol.schema import A, Asks, answer_of, from_plain, without_defaults
from tests.support.web_server import Page

_OF_OP = {route.op: route for route in ROUTES}


class OverHttp:
    """A transport for FaceClient."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def ask(self, body: Asks[A], on_progress: OnProgress | None = None) -> A:
        keys = {key: _json(value) for key, value in without_defaults(body).items()}
        route = _OF_OP[body.op]
        path = f"/api/v1{route.path}"
        if route.method == "GET":
            shown = {key: value if isinstance(value, str) else json.dumps(value) for key, value in keys.items()}
            status, _, said = self._page.request("GET", f"{path}?{urlencode(shown)}")
        else:
            sent = json.dumps(keys).encode()
            status, _, said = self._page.request("POST", path, sent, {"Content-Type": "application/json"})
        answer = json.loads(said)
        if status >= 400:
            code = ErrorCode(answer["code"])
            raise refused(Failure(0, code, answer["detail"], answer.get("retry_after_ms")))
        shape: Any = answer_of(type(body))
        found: A = from_plain(shape, with_bytes(shape, answer, "", _binary), strict=True)
        return found

    def ask_many(self, bodies: Iterable[Asks[A]], *, window: int) -> Iterator[A | ServerRefused]:
        return map(self.ask, bodies)

    def connect(self) -> None:
        return

    def close(self) -> None:
        return


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return [_json(item) for item in value] if isinstance(value, list) else value


def _binary(value: Any, _: str) -> bytes:
    return struct.pack(f"<{len(value)}f", *value) if isinstance(value, list) else base64.b64decode(value)
