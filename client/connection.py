"""One connection of a client: many requests under way at once, their answers sorted out by a reading thread."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic

from facewire.client.errors import BadAnswer, CannotConnect, ClientError, ConnectionLost, TooLarge, refused
from facewire.protocol.asks import A, Asks
from facewire.protocol.codec import RawSuccess, as_result, decode_answer, encode_request
from facewire.protocol.errors import BadMessage, ErrorCode, ForeignProtocol, FrameTooLarge, ProtocolError
from facewire.protocol.messages import Failure, Progress, Request
from facewire.protocol.stream import MessageStream, StreamTimeout

# Failures about the bytes, not the moment: the oldest request without an answer is the one they mean.
_ABOUT_ONE_REQUEST = frozenset({ErrorCode.TOO_LARGE, ErrorCode.BAD_FRAME, ErrorCode.BAD_MESSAGE})


# Sent about the connection, with id 0: the server closes it, and has not started any request left unanswered.
_CLOSED_UNHEARD = frozenset({ErrorCode.BUSY, ErrorCode.TIMEOUT})

OnProgress = Callable[[Progress], None]


def _ignore(_: Progress) -> None:
    return


@dataclass(frozen=True, slots=True)
class _Pending(Generic[A]):
    body: Asks[A]
    future: Future[A]
    on_progress: OnProgress


class Connection:
    """A connected server. Thread-safe; `submit` gives a future, whose errors are ClientErrors."""

    def __init__(self, host: str, port: int, *, timeout: float, max_frame: int) -> None:
        """`timeout`: seconds to connect, for a frame to arrive once it has begun, and for the server to take bytes.

        Raises CannotConnect.
        """
        try:
            sock = socket.create_connection((host, port), timeout)
        except (OSError, UnicodeError) as error:  # UnicodeError: not a valid host name
            reason = getattr(error, "strerror", None) or error
            raise CannotConnect(f"no server at {host}:{port}: {reason}") from error
        self._where = f"{host}:{port}"
        self._stream = MessageStream(sock, max_frame=max_frame, send_timeout=timeout)
        self._timeout = timeout
        self._ids = itertools.count(1)  # 0 is what the server calls a request that it could not read
        self._lock = threading.Lock()  # guards the three below
        self._pending: dict[int, _Pending[Any]] = {}
        self._ended: str | None = None  # why, once nothing can be asked any more
        self._last_word: Failure | None = None  # what the server said about the connection
        self._reader = threading.Thread(target=self._read, name=f"facewire-client-{sock.fileno()}", daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        """Whether requests can still be sent."""
        with self._lock:
            return self._ended is None

    def submit(self, body: Asks[A], on_progress: OnProgress = _ignore) -> Future[A]:
        """Sends a request; blocks only while the server accepts no more bytes. All errors are the future's.

        `on_progress` is called by the reading thread, and must not raise.
        """
        future: Future[A] = Future()
        with self._lock:
            number = next(self._ids)
            if self._ended is not None:
                error = self._why_lost(about_this_one=False)
                error.unheard = True  # not a byte of it was sent
                future.set_exception(error)
                return future
            self._pending[number] = _Pending(body, future, on_progress)
        try:
            self._stream.send(encode_request(Request(number, body)))
        except FrameTooLarge as error:
            self._fail(number, TooLarge(ErrorCode.TOO_LARGE, str(error)))
        except (StreamTimeout, OSError):
            # Half a frame may be out, so nothing more can be said. The reader tells everyone, for it may still
            # hear the server's reason.
            self._stream.end_sending()
            self._stream.end_receiving()
        return future

    def forget(self, future: Future[Any]) -> None:
        """Stop waiting for this request; its answer is dropped if it still comes."""
        with self._lock:
            for number, pending in self._pending.items():
                if pending.future is future:
                    del self._pending[number]
                    return

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
        except ForeignProtocol as error:
            reason = f"{self._where} speaks {error.protocol}, not facewire's protocol: check the host and the port"
        except (ProtocolError, StreamTimeout, OSError) as error:
            reason = f"the connection broke: {error}"
        finally:
            self._end(reason)
            self._stream.close()

    def _take(self, payload: bytes) -> None:
        answer = decode_answer(payload)
        if isinstance(answer, Progress):  # a sign of life; the answer is still to come
            with self._lock:
                listening = self._pending.get(answer.id)
            if listening is not None:
                listening.on_progress(answer)
            return
        with self._lock:
            if isinstance(answer, Failure) and answer.id == 0:
                self._last_word = answer  # the answers to what was under way may still follow
            pending = self._pending.pop(answer.id, None)
        if pending is not None:  # else the caller has given up
            _deliver(pending, answer)

    def _fail(self, number: int, error: ClientError) -> None:
        with self._lock:
            pending = self._pending.pop(number, None)
        if pending is not None:
            pending.future.set_exception(error)

    def _end(self, reason: str) -> None:
        with self._lock:
            self._ended = reason
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
        return ConnectionLost(f"the server closed the connection over another request: {word.message}")


def _deliver(pending: _Pending[A], answer: RawSuccess | Failure) -> None:
    if isinstance(answer, Failure):
        pending.future.set_exception(refused(answer))
        return
    try:
        pending.future.set_result(as_result(type(pending.body), answer))
    except BadMessage as error:
        pending.future.set_exception(BadAnswer(str(error)))
