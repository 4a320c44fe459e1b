"""The camera's websocket: uvicorn's, with its HTTP connection's place and an idle timeout."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from starlette.types import Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from facewire.client.web.answers import error
from facewire.client.web.places import Pace, Places, Standing, address_of

FULL = "as many requests as this page can serve are under way; try again in a moment"

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TRY_AGAIN_LATER = 1013


class CameraConnection(WebSocketsSansIOProtocol):
    """A browser's connection after the upgrade to a websocket; it keeps its place."""

    def __init__(self, places: Places, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(config, server_state, app_state)
        self._places = places
        self._page = cast(Callable[[Scope, Receive, Send], Any], self.app)
        self.app = cast(Any, self._serve)
        self._pace = Pace(places.limits.rate, self.loop.time())

    @property
    def address(self) -> str:
        """The client's address."""
        return address_of(self.client)

    def standing(self, now: float) -> tuple[Standing, float] | None:
        """See places.Holder."""
        return None if self.read_paused else (Standing.SLOW, self._pace.behind(now))

    def give_way(self) -> None:
        """Closes with a reason."""
        self._end("this page is full")

    def look(self, now: float) -> None:
        """Closes if overdue."""
        if self.read_paused:
            self._pace.start(now)
        elif self._pace.behind(now) > self._places.limits.socket_s:
            self._end("no picture arrived for too long")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._places.begin(self):
            await error(503, "busy", FULL, 1000)(scope, receive, send)
            return
        try:
            await self._page(scope, receive, send)
        finally:
            self._places.end(self)
        if not self.handshake_complete and self.transport.is_closing():
            raise ClientDisconnected  # before the handshake: uvicorn would report an application error

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes over the place of the HTTP connection."""
        super().connection_made(transport)
        self._places.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The browser has disconnected or was disconnected."""
        self._places.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handles received data."""
        self._pace.pay(len(data), self.loop.time())
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # More or longer headers than websockets accepts; uvicorn ignores its answer
            self.transport.write(b"".join(self.conn.data_to_send()) or _BAD_REQUEST)
            self.transport.close()

    async def send(self, message: Message) -> None:  # type: ignore[override]
        """Sends. Silently drops messages to a connection told to close, as that is not an error of ours."""
        await self.writable.wait()
        if self.close_sent:
            raise ClientDisconnected
        await super().send(cast(Any, message))

    def _end(self, why: str) -> None:
        self._places.leave(self)
        if self.handshake_complete and not self.close_sent:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": _TRY_AGAIN_LATER})
            self.conn.fail(_TRY_AGAIN_LATER, why)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.transport.close()
            self.loop.call_later(self._places.limits.linger_s, self.transport.abort)  # who reads nothing holds it open
        else:
            self.transport.abort()
