"""`Connection`: many requests under way at once over one socket, their answers sorted out by a reading thread."""

from __future__ import annotations

import itertools
import queue
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic

from facewire.client.errors import (
    BadAnswer,
    CannotConnect,
    ClientError,
    ConnectionLost,
    TlsProblem,
    TooLarge,
    refused,
)
from facewire.protocol.codec import RawSuccess, as_result, decode_answer, encode_request
from facewire.protocol.errors import BadMessage, ErrorCode, ForeignProtocol, FrameTooLarge, ProtocolError
from facewire.protocol.messages import Failure, Progress, Request
from facewire.protocol.schema import A, Asks
from facewire.protocol.stream import MessageStream, StreamTimeout
from facewire.protocol.tls import NotTls, TlsChannel

# Failures about the bytes, not the moment: the oldest request without an answer is the one they mean.
_ABOUT_ONE_REQUEST = frozenset({ErrorCode.TOO_LARGE, ErrorCode.BAD_FRAME, ErrorCode.BAD_MESSAGE})


# Sent about the connection, with id 0: the server closes it, and has not started any request left unanswered.
_CLOSED_UNHEARD = frozenset({ErrorCode.BUSY, ErrorCode.TIMEOUT})

Secure = Callable[[socket.socket], TlsChannel]


@dataclass(frozen=True, slots=True, eq=False)
class Call(Generic[A]):
    """A request under way. `progress`: as it comes, None when the future is done; the future's errors are
    ClientErrors."""

    body: Asks[A]
    connection: Connection
    number: int
    future: Future[A] = field(default_factory=Future)
    progress: queue.SimpleQueue[Progress | None] = field(default_factory=queue.SimpleQueue)


class Connection:
    """A connected server. Thread-safe."""

    def __init__(
        self, host: str, port: int, *, timeout: float, connect_timeout: float, max_frame: int,
        secure: Secure | None = None,
    ) -> None:  # fmt: skip
        """`timeout`: seconds for a frame to arrive once it has begun, and for the server to take bytes; `secure`:
        begins TLS.

        Raises CannotConnect, TlsProblem.
        """
        try:
            sock = socket.create_connection((host, port), connect_timeout)
        except (OSError, UnicodeError) as error:  # UnicodeError: not a valid host name
            reason = getattr(error, "strerror", None) or error
            raise CannotConnect(f"no server at {host}:{port}: {reason}") from error
        self._where = f"{host}:{port}"
        self._stream = MessageStream(sock, max_frame=max_frame, send_timeout=timeout)
        if secure is not None:
            self._secure(secure, connect_timeout)
        self._timeout = timeout
        self._ids = itertools.count(1)  # 0 is what the server calls a request that it could not read
        self._lock = threading.Lock()  # guards the three below
        self._pending: dict[int, Call[Any]] = {}
        self._ended: str | None = None  # why, once nothing can be asked any more
        self._last_word: Failure | None = None  # what the server said about the connection
        self._heard = time.monotonic()  # written by the reading thread only
        self._over = threading.Event()  # set once `_ended` is
        self._reader = threading.Thread(target=self._read, name=f"facewire-client-{sock.fileno()}", daemon=True)
        self._reader.start()

    def _secure(self, secure: Secure, timeout: float) -> None:
        try:
            self._stream.secure(secure, timeout)
        except (StreamTimeout, OSError, UnicodeError) as error:
            self._stream.close()
            hint = ": ask it at facewire://, without --tls" if isinstance(error, NotTls) else ""
            raise TlsProblem(f"no TLS with {self._where}: {error}{hint}") from error

    @property
    def alive(self) -> bool:
        """Whether requests can still be sent."""
        with self._lock:
            return self._ended is None

    def silent_for(self) -> float:
        """Seconds since the server last said anything, or since it was connected."""
        return time.monotonic() - self._heard

    def wait_for_its_end(self, seconds: float) -> None:
        """Waits until nothing more can be asked, but no longer than this."""
        self._over.wait(seconds)

    def submit(self, body: Asks[A]) -> Call[A]:
        """Sends a request; blocks only while the server accepts no more bytes. All errors are the call's."""
        call = Call(body, self, next(self._ids))
        progress = call.progress  # a callback that knew the call would keep both, and picture and answer with them
        call.future.add_done_callback(lambda _: progress.put(None))
        with self._lock:
            if self._ended is not None:
                error = self._why_lost(about_this_one=False)
                error.unheard = True  # not a byte of it was sent
                call.future.set_exception(error)
                return call
            self._pending[call.number] = call
        try:
            self._stream.send(encode_request(Request(call.number, body)))
        except FrameTooLarge as error:
            if self.forget(call):
                call.future.set_exception(TooLarge(ErrorCode.TOO_LARGE, str(error)))
        except (StreamTimeout, OSError):
            # Half a frame may be out, so nothing more can be said. The reader tells everyone, for it may still
            # hear the server's reason.
            self._stream.end_sending()
            self._stream.end_receiving()
        return call

    def forget(self, call: Call[Any]) -> bool:
        """Stop waiting for this request; its answer is dropped if it still comes. False if it has ended already."""
        with self._lock:
            return self._pending.pop(call.number, None) is not None

    def close(self) -> None:
        """Ends the connection and its thread; requests under way fail with ConnectionLost."""
        self._stream.abort()
        if threading.current_thread() is not self._reader:  # a future's callback may close
            self._reader.join()

    # ------------------------------------------------------------------------------------------ reading

    def _read(self) -> None:
        reason = "the server closed the connection"
        try:
            while (payload := self._stream.receive(None, self._timeout)) is not None:
                self._take(payload)
                del payload  # an idle connection must not hold its last answer, which may be a photo
        except ForeignProtocol as error:
            hint = "ask it at facewires://, or with --tls" if error.protocol == "TLS" else "check the host and the port"
            reason = f"{self._where} speaks {error.protocol}, not facewire's protocol: {hint}"
        except (ProtocolError, StreamTimeout, OSError) as error:
            reason = f"the connection broke: {error}"
        finally:
            self._end(reason)
            self._stream.close()

    def _take(self, payload: bytes) -> None:
        self._heard = time.monotonic()
        answer = decode_answer(payload)
        if isinstance(answer, Progress):  # a sign of life; the answer is still to come
            with self._lock:
                call = self._pending.get(answer.id)
            if call is not None:
                call.progress.put(answer)
            return
        with self._lock:
            if isinstance(answer, Failure) and answer.id == 0:
                self._last_word = answer  # the answers to what was under way may still follow
            call = self._pending.pop(answer.id, None)
        if call is not None:  # else the caller has given up
            _deliver(call, answer)

    def _end(self, reason: str) -> None:
        with self._lock:
            self._ended = reason
            self._over.set()
            pending, self._pending = self._pending, {}
            errors = [self._why_lost(about_this_one=not position) for position in range(len(pending))]
        for number, error in zip(sorted(pending), errors, strict=True):
            pending[number].future.set_exception(error)

    def _why_lost(self, *, about_this_one: bool) -> ClientError:
        """A new error for one request, with the server's last word if it had one. Call under the lock."""
        word = self._last_word
        if word is None:
            return ConnectionLost(self._ended)
        if about_this_one or word.code not in _ABOUT_ONE_REQUEST:
            error = refused(word)
            error.unheard = word.code in _CLOSED_UNHEARD
            return error
        return ConnectionLost(f"the server closed the connection because of another request: {word.message}")


def _deliver(call: Call[A], answer: RawSuccess | Failure) -> None:
    if isinstance(answer, Failure):
        call.future.set_exception(refused(answer))
        return
    try:
        call.future.set_result(as_result(type(call.body), answer))
    except BadMessage as error:
        call.future.set_exception(BadAnswer(str(error)))
