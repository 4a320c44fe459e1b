"""State shared by the routes: settings, sessions, and a pool of clients for each token in use."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import HTTPConnection

from facewire.client.errors import Unauthorized
from facewire.client.face_client import FaceClient
from facewire.client.web.guesses import Guesses
from facewire.client.web.pool import ClientPool, Overloaded
from facewire.client.web.sessions import Session, Sessions
from facewire.client.web.settings import WebSettings
from facewire.protocol.albums.export import AlbumExported

Answer = TypeVar("Answer")

_MAX_POOLS = 16  # tokens in use at a time; each has a few connections and threads once it asks
_MAX_EXPORTS = 1000  # the server keeps each for a day


class Gateway:
    """Used by the event loop's thread only."""

    def __init__(self, settings: WebSettings) -> None:
        self.settings = settings
        self.sessions = Sessions()
        self.guesses = Guesses(self.client)
        self._pools: OrderedDict[str | None, ClientPool] = OrderedDict()
        self._exports: OrderedDict[tuple[str | None, str], AlbumExported] = OrderedDict()

    async def ask(self, session: Session, question: Callable[[FaceClient], Answer], *, changes: bool = False) -> Answer:
        """The server's answer to this browser. Raises ClientError, ProtocolError, Overloaded."""
        return await self.ask_as(session.token, question, changes=changes)

    async def ask_as(
        self, token: str | None, question: Callable[[FaceClient], Answer], *, changes: bool = False
    ) -> Answer:
        """The server's answer to whoever has this token. Raises ClientError, ProtocolError, Overloaded."""
        return await self._pool(token).call(question, changes=changes)

    async def asks_for_token(self) -> bool:
        """Does the server require a token? Raises ClientError, Overloaded."""
        try:
            await self._pool(None).call(lambda client: client.ping())
        except Unauthorized:
            return True
        return False

    def client(self, token: str | None) -> FaceClient:
        """A new client, not connected yet."""
        settings, server = self.settings, self.settings.server
        return FaceClient(server.host, server.port, tls=settings.tls, timeout=settings.timeout, token=token, retries=2)

    def keep_export(self, session: Session, export: AlbumExported) -> None:
        """Remembers a prepared ZIP."""
        self._exports[session.token, export.export] = export
        while len(self._exports) > _MAX_EXPORTS:
            self._exports.popitem(last=False)

    def export(self, session: Session, number: str) -> AlbumExported | None:
        """A ZIP prepared for this browser's token, or None."""
        return self._exports.get((session.token, number))

    def close(self) -> None:
        """Ends every connection and thread."""
        while self._pools:
            self._pools.popitem()[1].close()

    def _pool(self, token: str | None) -> ClientPool:
        if token not in self._pools:
            if len(self._pools) >= _MAX_POOLS:
                self._close_idle_pool()
            self._pools[token] = ClientPool(lambda: self.client(token))
        self._pools.move_to_end(token)
        return self._pools[token]

    def _close_idle_pool(self) -> None:
        """Closes the pool that has been idle longest. Raises Overloaded if none is idle, so that no answer is lost."""
        for token, pool in self._pools.items():
            if pool.is_idle:
                del self._pools[token]
                pool.close()
                return
        raise Overloaded("too many different tokens are in use; try again in a moment")


def gateway_of(connection: HTTPConnection) -> Gateway:
    """The application's Gateway."""
    gateway = connection.app.state.gateway
    assert isinstance(gateway, Gateway)
    return gateway


def session_of(connection: HTTPConnection) -> Session:
    """The browser's session, set by the guard."""
    session = connection.state.session
    assert isinstance(session, Session)
    return session
