"""What carries a client's requests: `ServerTransport`, over a `Connection` to one of its servers, and to another one
when that was lost."""

from __future__ import annotations

import queue
import random
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from facewire.client.connection import Call, Connection
from facewire.client.errors import (
    CannotConnect,
    ClientError,
    ConnectionLost,
    ServerBusy,
    ServerRefused,
    ServerTimeout,
    TlsProblem,
)
from facewire.client.tls import Tls, channel_to
from facewire.protocol.address import Address
from facewire.protocol.messages import Hello, Progress
from facewire.protocol.schema import A, Asks

OnProgress = Callable[[Progress], None]

_CLOSED = "this client has been closed"

_LONGEST_PAUSE_MS = 60_000
_PAUSE_MS = 100  # before asking a busy server of another make that gave no advice: a few pictures' work

_ROUNDS = 3  # of all servers, before the client gives up
_CONNECT_S = 3.0  # for one of several: a host that is gone does not even refuse
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.2, 2.0  # after a round; doubled each time: a server needs seconds to start


class Transport(Protocol):
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


class ServerTransport:
    """Asks one of several servers with the same gallery, or the only one: connects at the first request, and again,
    to the next of them, after the connection was lost."""

    def __init__(
        self,
        addresses: Sequence[Address],
        *,
        tls: Tls | None,
        timeout: float,
        token: str | None,
        max_frame: int,
        retries: int,
    ) -> None:
        """The arguments are FaceClient's. Every client takes the servers in an order of its own, so that many clients
        spread over them, and over those that are left when one ends."""
        self._addresses = random.sample(addresses, len(addresses))
        self._tls = tls
        self._timeout = timeout
        self._token = token or None  # an empty one, as FACEWIRE_TOKEN= leaves it, means no token
        self._max_frame = max_frame
        self._several = len(addresses) > 1
        self._retries = max(retries, _ROUNDS * len(addresses)) if self._several else retries
        self._lock = threading.Lock()  # guards the three below
        self._current: Connection | None = None
        self._next = 0  # which address to try first
        self._context: ssl.SSLContext | None = None  # made at the first connection, as it reads files
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
        left, losses, fresh = self._retries, 0, False
        while True:
            had_one, connection = self._has_connection(), None
            try:
                connection = self._connection()
                return self._finish(connection.submit(body), on_progress)
            except ClientError as error:
                # Closed while it was idle, just as we asked: the next request opens another.
                if error.unheard and had_one and not fresh:
                    fresh = True
                    continue
                if not left or not _may_ask_again(body, error):
                    raise
                left -= 1
                if isinstance(error, ServerBusy) and not (error.unheard and self._several):
                    self._pause(error, connection)
                    continue
                losses += 1
                if losses > _ROUNDS * len(self._addresses):
                    raise
                self._back_off(losses - len(self._addresses))  # no pause while there are others to ask

    def ask_many(self, bodies: Iterable[Asks[A]], *, window: int) -> Iterator[A | ServerRefused]:
        """Asks once more where `retries` say so."""
        calls: deque[Call[A]] = deque()
        failure: ClientError | None = None
        for body in bodies:
            try:
                calls.append(self._connection().submit(body))
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

    # ------------------------------------------------------------------------------------------ connecting

    def _connection(self) -> Connection:
        with self._lock:
            if self._closed.is_set():
                raise ConnectionLost(_CLOSED)
            if self._current is None or not self._current.alive:
                if self._current is not None:
                    self._next += 1  # it was lost: first the others
                self._current = None
                self._current = self._open_one()
            return self._current

    def _has_connection(self) -> bool:
        with self._lock:
            return self._current is not None

    def _open_one(self) -> Connection:
        """A connection to the first server that can be reached. Call under the lock."""
        errors: dict[Address, ClientError] = {}
        rounds = _ROUNDS if self._several else 1
        for number in range(rounds):
            self._back_off(number)
            for _ in self._addresses:
                if self._closed.is_set():
                    raise ConnectionLost(_CLOSED)
                address = self._addresses[self._next % len(self._addresses)]
                try:
                    return self._open(address)
                except (ConnectionLost, ServerBusy, ServerTimeout) as error:
                    errors[address] = error
                    self._next += 1
        telling = next((error for error in errors.values() if not isinstance(error, CannotConnect)), None)
        raise telling or CannotConnect("; ".join(str(error) for error in errors.values()))

    def _open(self, address: Address) -> Connection:
        secure = None
        if self._tls is not None:
            self._context = self._context or self._tls.context()
            secure = channel_to(address.host, self._context)
        connect_timeout = min(self._timeout, _CONNECT_S) if self._several else self._timeout
        connection = Connection(
            address.host, address.port, timeout=self._timeout, connect_timeout=connect_timeout,
            max_frame=self._max_frame, secure=secure,
        )  # fmt: skip
        if self._token is not None:
            try:
                self._finish(connection.submit(Hello(self._token)))
            except ClientError:
                connection.close()
                raise
        return connection

    # ------------------------------------------------------------------------------------------ answers

    def _settle(self, call: Call[A]) -> A | ServerRefused:
        """The answer to a call, or what it was refused with; asks again, alone, where that may help."""
        try:
            return self._finish(call)
        except ServerBusy as busy:
            if not busy.unheard and not (self._retries and _may_ask_again(call.body, busy)):
                return busy
            if not busy.unheard:
                self._pause(busy, call.connection)
        except ConnectionLost as lost:
            if not lost.unheard and not (self._retries and _may_ask_again(call.body, lost)):
                raise
        except ServerRefused as error:
            if not error.unheard:
                return error
        try:
            return self.ask(call.body)
        except ServerRefused as error:
            return error

    def _finish(self, call: Call[A], on_progress: OnProgress | None = None) -> A:
        while not call.future.done():
            try:
                progress = call.progress.get(timeout=self._timeout)
            except queue.Empty:
                call.connection.forget(call)
                if self._several and call.connection.silent_for() >= self._timeout:
                    call.connection.close()  # its machine may be gone, which nobody says: the others are asked instead
                    raise ConnectionLost(f"the server has said nothing for {self._timeout:g} s") from None
                raise ServerTimeout(f"no answer in {self._timeout:g} s") from None
            if progress is not None and on_progress is not None:
                on_progress(progress)
        return call.future.result()

    # ------------------------------------------------------------------------------------------ waiting

    def _pause(self, busy: ServerBusy, connection: Connection | None) -> None:
        """Waits as long as the server advises, or until it closes the connection, as one that is stopping does."""
        seconds = (busy.retry_after_ms or _PAUSE_MS) / 1000
        if connection is None or busy.unheard:
            self._closed.wait(seconds)
        else:
            connection.wait_for_its_end(seconds)

    def _back_off(self, number: int) -> None:
        """Waits before the next try, longer each time; not before the first ones. Ends early with the client."""
        if number > 0:
            longest = min(_LAST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (number - 1))
            self._closed.wait(random.uniform(longest / 2, longest))  # not all clients at the same moment


def _may_ask_again(body: Asks[Any], error: ClientError) -> bool:
    """Is it certain that asking again does nothing twice, and may it help?"""
    if isinstance(error, ServerBusy):  # refused, so not begun; but nobody waits until tomorrow, when a token may ask
        return (error.retry_after_ms or 0) <= _LONGEST_PAUSE_MS
    if isinstance(error, (CannotConnect, TlsProblem)):
        return False  # every server was tried
    return error.unheard or (isinstance(error, ConnectionLost) and body.repeatable)
