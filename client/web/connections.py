"""HTTP connections: uvicorn's, with limited places, timeouts and lingering close.

uvicorn has no timeout for a request's head or body, closes while the browser is still sending (which then sees a reset
instead of the answer), and logs a traceback when a client disconnects. This module fixes that below the application.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast

import h11
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from facewire.client.web.answers import CutOff, error
from facewire.client.web.api.problems import PREFIX, problem
from facewire.client.web.bodies import MAX_DROPPED
from facewire.client.web.camera_connections import FULL, CameraConnection
from facewire.client.web.guard import HEADERS
from facewire.client.web.places import Pace, Places, Standing, address_of

_log = logging.getLogger("facewire.web")


class _Parting(asyncio.Transport):
    """A transport whose `close` calls back to its connection."""

    def __init__(self, inner: asyncio.Transport, on_close: Callable[[], None]) -> None:
        super().__init__()
        self.inner = inner
        self.lingers = False  # nothing more is sent, but data is still read
        self._on_close = on_close

    def close(self) -> None:
        self._on_close()

    def is_closing(self) -> bool:
        return self.lingers or self.inner.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.lingers:
            self.inner.write(data)

    def abort(self) -> None:
        self.inner.abort()

    def pause_reading(self) -> None:
        self.inner.pause_reading()

    def resume_reading(self) -> None:
        self.inner.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.inner.get_extra_info(name, default)


class HttpConnection(H11Protocol):
    """A browser's connection, which holds a place."""

    transport: asyncio.Transport

    def __init__(self, places: Places, config: Config, server_state: ServerState, app_state: dict[str, Any],
                 _loop: asyncio.AbstractEventLoop | None = None) -> None:  # fmt: skip
        super().__init__(config, server_state, app_state, _loop)
        self._places = places
        self._page = cast(Callable[[Scope, Receive, Send], Any], self.app)
        self.app = cast(Any, self._serve)
        self.ws_protocol_class = cast(Any, partial(CameraConnection, places))
        self._pace = Pace(places.limits.rate, self.loop.time())
        self._waiting_since = self.loop.time()
        self._blocked_since: float | None = None  # when the browser stopped reading its answer
        self._left = asyncio.Event()
        self._dropped = 0  # bytes received after the answer

    # ---------------------------------------------------------------------------------------- places

    @property
    def address(self) -> str:
        """The client's address."""
        return address_of(self.client)

    def standing(self, now: float) -> tuple[Standing, float] | None:
        """See places.Holder."""
        if self._blocked_since is not None:
            return Standing.SLOW, now - self._blocked_since
        if self._socket.lingers or (not self._under_way and self.conn.their_state is h11.SEND_BODY):
            return Standing.ANSWERED, self._pace.behind(now)
        if not self._under_way:
            return Standing.IDLE, now - self._waiting_since
        held_up = self.flow.read_paused or self.cycle.waiting_for_100_continue
        if self.cycle.more_body and not held_up:
            return Standing.SLOW, self._pace.behind(now)
        return None

    def give_way(self) -> None:
        """Closes. A request not yet complete is answered with an error first."""
        if self._under_way and not self._socket.lingers:
            self._refuse(503, "busy", FULL, 1000)
            # Without lingering, as the place is gone: a slow client has little data in flight that could cost it the
            # answer
            self._socket.inner.close()
            self.loop.call_later(self._places.limits.linger_s, self._socket.inner.abort)
        else:
            self._abort()
        self._places.leave(self)

    def look(self, now: float) -> None:
        """Closes if overdue."""
        limits, stands = self._places.limits, self.standing(now)
        match stands:
            case None:
                self._pace.start(now)  # don't count the time that we caused
            case (Standing.ANSWERED, seconds) if seconds > limits.linger_s:
                self._abort()
            case (Standing.IDLE, seconds) if seconds > limits.waiting_s:
                if self.conn.trailing_data[0]:
                    self._refuse(408, "timeout", "the request did not arrive in time")
                else:
                    self._abort()
            case (Standing.SLOW, seconds) if seconds > limits.stall_s:
                if self._blocked_since is None:
                    self._refuse(408, "timeout", "the upload broke off, or was too slow")
                else:
                    self._abort()

    @property
    def _under_way(self) -> bool:
        """Is a request being answered?"""
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.disconnected

    # ---------------------------------------------------------------------------------------- serving

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._pace.start(self.loop.time())
        self._dropped = 0
        if not self._places.begin(self):
            response = self._error(503, "busy", FULL, 1000)
            response.headers.update(HEADERS)
            await response(scope, receive, send)
            return
        try:
            await self._until_left(asyncio.ensure_future(self._page(scope, receive, send)))
        except CutOff as why:
            _log.warning("%s", why)
            self.cycle.disconnected = True
            self._abort()
        finally:
            self._places.end(self)

    async def _until_left(self, work: asyncio.Future[None]) -> None:
        """Runs the application's work until it is done, the browser disconnects or the page is stopped."""
        left: asyncio.Future[Any] = asyncio.ensure_future(self._left.wait())
        with suppress(asyncio.CancelledError):  # at shutdown; uvicorn would log a traceback
            await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
        left.cancel()
        if work.done():
            return work.result()
        self.cycle.disconnected = True  # no answer is sent any more, and uvicorn must not complain
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        _log.debug("a browser left before it was answered")
        return None

    # ---------------------------------------------------------------------------------------- asyncio and uvicorn

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A browser has connected."""
        self._socket = _Parting(transport, self._part)
        super().connection_made(self._socket)
        self._places.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The browser has disconnected or was disconnected."""
        self._left.set()
        self._places.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handles data of a request, perhaps one that was already answered."""
        self._pace.pay(len(data), self.loop.time())
        if self._socket.lingers or (not self._under_way and self.conn.their_state is h11.SEND_BODY):
            self._dropped += len(data)
            if self._dropped > MAX_DROPPED:
                self._abort()
                return
        if not self._socket.lingers:
            super().data_received(data)

    def pause_writing(self) -> None:
        """The browser has stopped reading for now."""
        self._blocked_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The browser is reading again."""
        self._blocked_since = None
        super().resume_writing()

    def on_response_complete(self) -> None:
        """The answer has been written."""
        self._waiting_since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answers data that is not valid HTTP."""
        self._refuse(400, "invalid_request", "this is not a valid HTTP request")

    def shutdown(self) -> None:
        """Stops: requests under way are answered, other connections are closed."""
        if self._under_way:
            self.cycle.keep_alive = False
        else:
            self._socket.inner.close()

    def _should_upgrade(self) -> bool:
        return self._get_upgrade() == b"websocket" and self.scope["method"] == "GET"

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """The camera: the websocket protocol takes over the transport."""
        self._places.leave(self)
        self.transport = self._socket.inner
        super().handle_websocket_upgrade(event)

    # ---------------------------------------------------------------------------------------- ending

    def _refuse(self, status: int, code: str, message: str, retry_after_ms: int | None = None) -> None:
        """Cancels the application's work, answers with an error in its place, and closes."""
        if self._under_way:
            started = self.cycle.response_started
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._left.set()
            if started:
                self._abort()
                return
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self._abort()
            return
        response = self._error(status, code, message, retry_after_ms)
        response.headers.update({**HEADERS, "connection": "close"})
        answer = h11.Response(status_code=status, headers=response.raw_headers, reason=b"")
        for said in (answer, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
            self._socket.write(self.conn.send(said) or b"")
        self._socket.close()

    def _error(self, status: int, code: str, message: str, retry_after_ms: int | None) -> JSONResponse:
        """In the form of what was asked for: the page's, or the API's."""
        scope = cast(Scope | None, self.scope)  # None before the first request
        form = problem if scope is not None and scope["path"].startswith(PREFIX) else error
        return form(status, code, message, retry_after_ms)

    def _part(self) -> None:
        """Closes. If the browser is still sending, ends our direction and reads on for a while, so that it gets the
        answer."""
        socket = self._socket
        if socket.is_closing() or self.conn.their_state not in (h11.SEND_BODY, h11.ERROR):
            socket.inner.close()
            return
        socket.lingers = True
        self._unset_keepalive_if_required()
        self._pace.start(self.loop.time())
        self.flow.resume_reading()
        if socket.inner.can_write_eof():
            socket.inner.write_eof()

    def _abort(self) -> None:
        self._places.leave(self)
        self._socket.abort()
