"""`FaceClient`: every operation as a method, typed answers, typed errors."""

from __future__ import annotations

import array
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Self

from facewire.client.album_client import AlbumClient, OnProgress
from facewire.client.connection import Connection
from facewire.client.errors import ClientError, ConnectionLost, ServerBusy, ServerRefused, ServerTimeout, TooLarge
from facewire.client.gallery_operations import GalleryOperations
from facewire.client.pictures import TooManyBytes, read_picture
from facewire.protocol.asks import A, Asks
from facewire.protocol.errors import ErrorCode
from facewire.protocol.framing import DEFAULT_MAX_FRAME
from facewire.protocol.messages import (
    Detect,
    Detected,
    Embed,
    Embedded,
    EmbeddedFace,
    Health,
    HealthReport,
    Hello,
    Identified,
    Identify,
    Ping,
    Pong,
    Progress,
    Stats,
    StatsReport,
    Verified,
    Verify,
)

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 5050
DEFAULT_TIMEOUT_S = 30.0  # a busy server answers `busy` long before; a picture takes well under a second

_PAUSE_MS = 100  # before asking a busy server of somebody else's make that gave no advice: a few pictures' work


class FaceClient(GalleryOperations):
    """A facewire server, as a context manager; may be shared by threads, which then share its connection.

    Pictures are the bytes of JPEG, PNG, WebP or BMP files. It connects at the first request, and again after the
    connection was lost. Where the server closed one that was silent just as something was asked, and says that it has
    not begun it, that is asked once more on a new connection, whatever it is. Every operation raises ClientError:
    ServerRefused for an error that the server answered, ServerTimeout, ConnectionLost, BadAnswer.
    """

    def __init__(
        self,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        token: str | None = None,
        max_frame: int = DEFAULT_MAX_FRAME,
        retries: int = 0,
    ) -> None:
        """`timeout`: seconds of silence, with neither the answer nor news of its progress; `max_frame`: the server's
        limit, in bytes; `retries`: how often to ask again, after the wait that it asks for, when the server is busy;
        with any, `identify_many` also asks once more for a picture whose connection was lost."""
        self._host = host
        self._port = port
        self._timeout = timeout
        self._token = token or None  # an empty one, as FACEWIRE_TOKEN= leaves it, is none
        self._max_frame = max_frame
        self._retries = retries
        self._lock = threading.Lock()  # guards the two below
        self._current: Connection | None = None
        self._closed = threading.Event()

    # ------------------------------------------------------------------------------------------ operations

    def identify(self, image: bytes, *, k: int = 1, emotion: bool = True) -> Identified:
        """Who is in this picture? `k`: candidates wanted a face."""
        return self.ask(Identify(image, k, emotion))

    def identify_file(self, path: Path | str, *, k: int = 1, emotion: bool = True) -> Identified:
        """`identify` the picture in a file, without the film of a motion photo where that is too large to be sent.

        Raises OSError when it can't be read, TooLarge.
        """
        try:
            picture = read_picture(Path(path))
        except TooManyBytes as error:
            raise TooLarge(ErrorCode.TOO_LARGE, str(error)) from error
        return self.identify(picture, k=k, emotion=emotion)

    def identify_many(
        self, images: Iterable[bytes], *, window: int = 16, k: int = 1, emotion: bool = True
    ) -> Iterator[Identified | ServerRefused]:
        """The answers in the pictures' order, up to `window` of them under way at once.

        A picture that the server refuses gives its error in its place; ClientErrors that concern all are raised.
        """
        return self.ask_many((Identify(image, k, emotion) for image in images), window=window)

    def detect(self, image: bytes) -> Detected:
        """Where are the faces?"""
        return self.ask(Detect(image))

    def embed(self, image: bytes) -> Embedded:
        """The faces' embeddings; `embedding_values` reads them."""
        return self.ask(Embed(image))

    def verify(
        self,
        image: bytes,
        other: bytes,
        *,
        fmr: float | None = None,
        at: tuple[float, float] | None = None,
        other_at: tuple[float, float] | None = None,
    ) -> Verified:
        """Do two pictures show one person? Of several faces the largest central one counts, or the one at a point.

        `fmr`: how often two different people may be called the same; by default as the server is set.
        """
        return self.ask(Verify(image, other, fmr, at, other_at))

    def ping(self) -> Pong:
        """Is the server there?"""
        return self.ask(Ping())

    def health(self) -> HealthReport:
        """Can the server do its work? It runs one real inference."""
        return self.ask(Health())

    def stats(self) -> StatsReport:
        """The server's counters."""
        return self.ask(Stats())

    @property
    def albums(self) -> AlbumClient:
        """Every operation on albums, over this connection."""
        return AlbumClient(self)

    # ------------------------------------------------------------------------------------------ connection

    def connect(self) -> Self:
        """Connects now, rather than with the first request. Raises CannotConnect, and Unauthorized for the token."""
        self._connection()
        return self

    def close(self) -> None:
        """Ends the connection; requests under way in other threads fail with ConnectionLost. Harmless when repeated."""
        self._closed.set()
        with self._lock:
            connection, self._current = self._current, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(self, *error: object) -> None:
        self.close()

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

    # ------------------------------------------------------------------------------------------ asking

    def ask(self, body: Asks[A], on_progress: OnProgress | None = None) -> A:
        """The answer to any request; `on_progress` is called in this thread.

        With progress the timeout is that between two signs of life.
        """
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
        """The answers in the requests' order, up to `window` of them under way at once.

        A request that the server refuses gives its error in its place; ClientErrors that concern all are raised.
        """
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


def embedding_values(face: EmbeddedFace) -> array.array[float]:
    """The embedding's numbers, as float32; `numpy.frombuffer(face.embedding, "<f4")` gives the same as an array."""
    values = array.array("f", face.embedding)
    if sys.byteorder == "big":
        values.byteswap()
    return values
