"""What a connection must do before it is served: say the token, where there is one, and then take a place."""

from __future__ import annotations

import time

from facewire.protocol.errors import ErrorCode, RequestRefused
from facewire.protocol.messages import Hello, Request
from facewire.server.tcp.dispatch import NO_TOKEN, Dispatcher
from facewire.server.tcp.lifetime import Lifetime
from facewire.server.tcp.limits import TcpLimits
from facewire.server.tcp.places import Guest, Places

_KEPT_WAITING = 8 * 2**20  # bytes of a first request that is kept while it waits for a place; others are told at once


class LastWord(Exception):
    """The connection is told this, and ends."""

    def __init__(self, code: ErrorCode, message: str, request_id: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


class Admission:
    """One connection's. For its reading thread; others may look at what it has reached."""

    def __init__(self, address: str, dispatcher: Dispatcher, places: Places, limits: TcpLimits, life: Lifetime) -> None:
        self._address = address
        self._dispatcher = dispatcher
        self._places = places
        self._limits = limits
        self._life = life
        self._hello_until = time.monotonic() + limits.hello_timeout_s
        self.trusted = not dispatcher.needs_hello  # has said the token
        self.seated = False  # has a place of those who ask

    def hello_left(self) -> float:
        """Seconds until the token must have been said."""
        return max(0.0, self._hello_until - time.monotonic())

    def admit(self, guest: Guest, request: Request | RequestRefused, size: int) -> bool:
        """May `guest` go on after this request of so many bytes? False when it ends meanwhile. Raises LastWord."""
        return self._is_trusted(request) and self._take_place(guest, size)

    def _is_trusted(self, request: Request | RequestRefused) -> bool:
        if isinstance(request, RequestRefused):
            if not self.trusted:
                raise LastWord(ErrorCode.UNAUTHORIZED, NO_TOKEN, request.request_id)
            return True
        says_hello = isinstance(request.body, Hello)
        if self.trusted and not says_hello:
            return True
        if says_hello and not self._life.pause(self._dispatcher.hears_token_in(self._address)):
            return False
        why = self._dispatcher.turned_away(request.body, self._address)
        if why is not None:
            raise LastWord(ErrorCode.UNAUTHORIZED, why, request.id)
        self.trusted = True
        return True

    def _take_place(self, guest: Guest, size: int) -> bool:
        """Among those who ask, at the first request: until then it was a stranger."""
        if not self.seated:
            wait_s = self._limits.place_wait_s if size <= _KEPT_WAITING else 0.0
            with self._life.asking():  # while it waits it does not give way itself
                self.seated = self._places.admit(guest, wait_s, self._life.goes_on)
            if not self.seated:
                raise LastWord(ErrorCode.BUSY, self._places.all_taken)
        return True
