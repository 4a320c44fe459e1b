"""The first steps of a connection: send the token, if the server has one, then get a member's place."""

from __future__ import annotations

import time

from facewire.protocol.errors import ErrorCode, RequestRefused
from facewire.protocol.messages import Hello, Request
from facewire.server.access.caller import Caller
from facewire.server.tcp.dispatch import NO_TOKEN, Dispatcher, TurnedAway
from facewire.server.tcp.lifetime import Lifetime
from facewire.server.tcp.limits import TcpLimits
from facewire.server.tcp.places import Guest, Places

_KEPT_WAITING = 8 * 2**20  # a larger first request is refused at once instead of being held while it waits for a place


class LastWord(Exception):
    """The connection is sent this error, then closed."""

    def __init__(self, code: ErrorCode, message: str, request_id: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


class Admission:
    """Admits one connection. Called by its reading thread; `trusted` and `seated` may be read by any thread."""

    def __init__(self, address: str, dispatcher: Dispatcher, places: Places, limits: TcpLimits, life: Lifetime) -> None:
        self._address = address
        self._dispatcher = dispatcher
        self._places = places
        self._limits = limits
        self._life = life
        self._hello_until = time.monotonic() + limits.hello_timeout_s
        self.caller = Caller(None, address)  # who sent the last request that was admitted
        self.trusted = not dispatcher.needs_hello  # has sent a token
        self.seated = False  # holds a member's place

    def hello_left(self) -> float:
        """Seconds left to send the token."""
        return max(0.0, self._hello_until - time.monotonic())

    def admit(self, guest: Guest, request: Request | RequestRefused, size: int) -> bool:
        """Should this request of `size` bytes be served? False if the connection ended meanwhile. Raises LastWord."""
        return self._is_trusted(request) and self._take_place(guest, size)

    def _is_trusted(self, request: Request | RequestRefused) -> bool:
        if isinstance(request, RequestRefused):
            if not self.trusted:
                raise LastWord(ErrorCode.UNAUTHORIZED, NO_TOKEN, request.request_id)
            return True
        if isinstance(request.body, Hello) and not self._life.pause(self._dispatcher.hears_token_in(self._address)):
            return False
        try:
            self.caller = self._dispatcher.heard(request.body, self.caller)
        except TurnedAway as why:
            raise LastWord(ErrorCode.UNAUTHORIZED, str(why), request.id) from why
        self.trusted = True
        return True

    def _take_place(self, guest: Guest, size: int) -> bool:
        """On its first request a stranger becomes a member."""
        if not self.seated:
            wait_s = self._limits.place_wait_s if size <= _KEPT_WAITING else 0.0
            with self._life.asking():  # so that it is not evicted itself while it waits
                self.seated = self._places.admit(guest, wait_s, self._life.goes_on)
            if not self.seated:
                raise LastWord(ErrorCode.BUSY, self._places.all_taken)
        return True
