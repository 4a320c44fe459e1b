"""FaceClients for a page that many look at: a few connections, asked from a few threads, never an endless queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any, TypeVar

from facewire.client.errors import CannotConnect, ConnectionLost
from facewire.client.face_client import FaceClient

Answer = TypeVar("Answer")

# The server works on 8 requests of a connection at a time, so 4 connections never wait for each other's slow ones.
CONNECTIONS = 4
THREADS = 16
MAX_WAITING = 256  # calls without a thread yet: the thumbnails of two screens; more is a flood


class Overloaded(Exception):
    """More is asked at once than the page may hold."""


async def finished(work: asyncio.Future[Answer]) -> Answer:
    """What `work` gives, which goes on where its asker is cancelled. (asyncio.shield then logs what it raises.)"""
    work.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.wait({work})
    return work.result()


class ClientPool:
    """Asks one server with one token. Used by one event loop; every thread and connection ends with `close`."""

    def __init__(self, make_client: Callable[[], FaceClient]) -> None:
        self._clients = [make_client() for _ in range(CONNECTIONS)]  # they connect when first asked
        self._next = cycle(self._clients)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="facewire-web")
        self._under_way: set[asyncio.Future[Any]] = set()  # touched by the event loop's thread only

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self._under_way

    async def call(self, ask: Callable[[FaceClient], Answer], *, changes: bool = False) -> Answer:
        """What `ask` gives, computed in a thread. Raises what it raises, and Overloaded.

        After a lost connection it asks once more, unless it `changes` something: that may have been done already.
        Where the asking task is cancelled, what no thread has begun is not asked at all; a change is made all the same.
        """
        if len(self._under_way) >= THREADS + MAX_WAITING:
            raise Overloaded("too much is asked of this page at once; try again in a moment")
        work = asyncio.ensure_future(self._ask(ask, repeatable=not changes))
        self._under_way.add(work)
        work.add_done_callback(self._under_way.discard)
        return await (finished(work) if changes else work)

    async def _ask(self, ask: Callable[[FaceClient], Answer], *, repeatable: bool) -> Answer:
        try:
            return await self._run(ask)
        except CannotConnect:
            raise
        except ConnectionLost:
            if not repeatable:
                raise
            return await self._run(ask)

    async def _run(self, ask: Callable[[FaceClient], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask, next(self._next))

    def close(self) -> None:
        """Ends the connections, so that no thread waits for an answer any more, and then the threads."""
        for client in self._clients:
            client.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
