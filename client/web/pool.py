"""A pool of FaceClients for many visitors: a few connections, a few threads and a bounded queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any, TypeVar

from facewire.client.errors import CannotConnect, ConnectionLost
from facewire.client.face_client import FaceClient

Answer = TypeVar("Answer")

# The server processes 8 requests per connection at a time, so with 4 connections slow requests don't block others.
CONNECTIONS = 4
THREADS = 16
MAX_WAITING = 256  # calls waiting for a thread: the thumbnails of two screens; more is a flood


class Overloaded(Exception):
    """Too many requests at once."""


async def finished(work: asyncio.Future[Answer]) -> Answer:
    """The result of `work`, which continues if the waiting task is cancelled. (asyncio.shield would log its errors.)"""
    work.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.wait({work})
    return work.result()


class ClientPool:
    """Calls one server with one token. Used by one event loop; `close` ends all threads and connections."""

    def __init__(self, make_client: Callable[[], FaceClient]) -> None:
        self._clients = [make_client() for _ in range(CONNECTIONS)]  # they connect on first use
        self._next = cycle(self._clients)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="facewire-web")
        self._under_way: set[asyncio.Future[Any]] = set()  # used by the event loop's thread only

    @property
    def is_idle(self) -> bool:
        """Is no request under way?"""
        return not self._under_way

    async def call(self, ask: Callable[[FaceClient], Answer], *, changes: bool = False) -> Answer:
        """The result of `ask`, run in a thread. Raises its errors, and Overloaded.

        After a lost connection it retries once, unless it `changes` something, which may already be done. If the
        calling task is cancelled, work that no thread has started is dropped, unless it is a change.
        """
        if len(self._under_way) >= THREADS + MAX_WAITING:
            raise Overloaded("the page has too many requests at once; try again in a moment")
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
        """Closes the connections, so that no thread keeps waiting for an answer, then ends the threads."""
        for client in self._clients:
            client.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
