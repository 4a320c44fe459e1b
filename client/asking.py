"""What carries a client's requests: `ServerAsker`, with a connection that is opened again when it was lost."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, Protocol

from facewire.client.connection import Connection, OnProgress
from facewire.client.errors import ClientError, ConnectionLost, ServerBusy, ServerRefused, ServerTimeout
from facewire.protocol.asks import A, Asks
from facewire.protocol.messages import Hello, Progress

_PAUSE_MS = 100  # before asking a busy server of another make that gave no advice: a few pictures' work


class Asker(Protocol):
    """What carries requests. Any thread may use it; what it raises is ClientErrors."""

    def ask(self, body: Asks[A], on_progress: OnProgress | None = None) -> A:
        """The answer to a request; `on_progress` is called in this thread, while it waits."""
        ...

    def ask_many(self, bodies: Iterable[Asks[A]], *, window: int) -> Iterator[A | ServerRefused]:
        """The answers in the requests' order, up to `window` of them under way at once.

        A request that the server refuses gives its error in its place; ClientErrors that concern all are raised.
        """
        ...

    def connect(self) -> None:
        """Connects, unless there is a connection. Raises CannotConnect, and Unauthorized for the token."""
        ...

    def close(self) -> None:
        """Requests under way in other threads fail with ConnectionLost. Harmless when repeated."""
        ...


class ServerAsker:
    """Asks a server: connects at the first request, and again after the connection was lost."""

    def __init__(
        self, host: str, port: int, *, timeout: float, token: str | None, max_frame: int, retries: int
    ) -> None:
        """The arguments are FaceClient's."""
        self._host = host
        self._port = port
        self._timeout = timeout
        self._token = token or None  # an empty one, as FACEWIRE_TOKEN= leaves it, means no token
        self._max_frame = max_frame
        self._retries = retries
        self._lock = threading.Lock()  # guards the two below
        self._current: Connection | None = None
        self._closed = threading.Event()

    def connect(self) -> None:
        """Connects now, rather than with the first request."""
        self._connection()

    def close(self) -> None:
        """Ends the connection."""
        self._closed.set()
        with self._lock:
            connection, self._current = self._current, None
        if connection is not None:
            connection.close()

    def ask(self, body: Asks[A], on_progress: OnProgress | None = None) -> A:
        """With progress the timeout is that between two signs of life."""
        left = self._retries
        fresh = False
        while True:
            had_one = self._has_connection()
            try:
                return self._finish(self._begin(body), on_progress)
            except ClientError as error:
                # Closed while it was idle, just as we asked: the next request opens another.
                if error.unheard and had_one and not fresh:
                    fresh = True
                    continue
                if not isinstance(error, ServerBusy) or not left:
                    raise
                left -= 1
                _pause(error)

    def ask_many(self, bodies: Iterable[Asks[A]], *, window: int) -> Iterator[A | ServerRefused]:
        """Asks once more where `retries` say so."""
        calls: deque[_Call[A]] = deque()
        failure: ClientError | None = None
        for body in bodies:
            try:
                calls.append(self._begin(body))
            except ClientError as error:
                failure = error  # but first the answers that are still to be had
                break
            if len(calls) >= window:
                answer = self._settle(calls.popleft())
                yield answer
        while calls:
            answer = self._settle(calls.popleft())
            yield answer
        if failure is not None:
            raise failure

    def _connection(self) -> Connection:
        with self._lock:
            if self._closed.is_set():
                raise ConnectionLost("this client has been closed")
            if self._current is None or not self._current.alive:
                self._current = self._open()
            return self._current

    def _has_connection(self) -> bool:
        with self._lock:
            return self._current is not None

    def _open(self) -> Connection:
        connection = Connection(self._host, self._port, timeout=self._timeout, max_frame=self._max_frame)
        if self._token is not None:
            try:
                hello = Hello(self._token)
                self._finish(_begin(hello, connection))
            except ClientError:
                connection.close()
                raise
        return connection

    def _settle(self, call: _Call[A]) -> A | ServerRefused:
        """The answer to a call, or what it was refused with; asks again, alone, where that may help."""
        try:
            return self._finish(call)
        except ServerBusy as busy:
            if not self._retries and not busy.unheard:
                return busy
            if not busy.unheard:
                _pause(busy)
        except ConnectionLost as lost:
            if not self._retries and not lost.unheard:
                raise
        except ServerRefused as error:
            if not error.unheard:
                return error
        try:
            return self.ask(call.body)
        except ServerRefused as error:
            return error

    def _begin(self, body: Asks[A]) -> _Call[A]:
        return _begin(body, self._connection())

    def _finish(self, call: _Call[A], on_progress: OnProgress | None = None) -> A:
        while not call.future.done():
            try:
                sign = call.signs.get(timeout=self._timeout)
            except queue.Empty:
                call.connection.forget(call.future)
                raise ServerTimeout(f"no answer in {self._timeout:g} s") from None
            if sign is not None and on_progress is not None:
                on_progress(sign)
        return call.future.result()


@dataclass(frozen=True, slots=True)
class _Call(Generic[A]):
    """A request under way. `signs`: its progress as it comes, None when the future is done."""

    body: Asks[A]
    connection: Connection
    future: Future[A]
    signs: queue.SimpleQueue[Progress | None]


def _begin(body: Asks[A], connection: Connection) -> _Call[A]:
    signs: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
    future = connection.submit(body, signs.put)
    future.add_done_callback(lambda _: signs.put(None))
    return _Call(body, connection, future, signs)


def _pause(busy: ServerBusy) -> None:
    """Waits as long as the server advises; it does with every `busy`."""
    time.sleep((busy.retry_after_ms or _PAUSE_MS) / 1000)
