"""Checks tokens typed by visitors with the server: a few at a time, slowly if they are wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from facewire.client.errors import Unauthorized
from facewire.client.face_client import FaceClient
from facewire.client.web.pool import Overloaded, finished
from facewire.protocol.messages import Hello, Welcome

_AT_ONCE = 2
_MAX_WAITING = 16
_WRONG_S = 0.5  # delay after a wrong token, to slow guessing down


class Guesses:
    """Used by the event loop's thread only."""

    def __init__(self, make_client: Callable[[str], FaceClient]) -> None:
        self._make_client = make_client
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._under_way = 0

    async def try_token(self, token: str) -> Welcome:
        """What the server says of a right one. Raises Unauthorized, other ClientErrors, ProtocolError, Overloaded."""
        if self._under_way >= _AT_ONCE + _MAX_WAITING:
            raise Overloaded("too many tokens are being tried at once; try again in a moment")
        # A visitor who disconnects before the answer must not avoid the delay
        return await finished(asyncio.ensure_future(self._try(token)))

    async def _try(self, token: str) -> Welcome:
        self._under_way += 1
        try:
            async with self._room:
                try:
                    return await asyncio.to_thread(self._knock, token)
                except Unauthorized:
                    await asyncio.sleep(_WRONG_S)
                    raise
        finally:
            self._under_way -= 1

    def _knock(self, token: str) -> Welcome:
        with self._make_client(token) as client:
            return client.ask(Hello(token))
