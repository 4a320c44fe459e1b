"""One connection: a thread reads requests, the workers answer them, a second thread writes.

A request holds one of the connection's slots until its answer is written, so the answers waiting here are bounded,
and a client that never reads costs its own two threads and nobody else's.
"""

from __future__ import annotations

import queue
import threading
import time
from functools import partial

from protocol.codec import decode_request
from protocol.errors import BadMessage, ErrorCode, FrameError, RequestRefused
from protocol.messages import Hello, Request
from protocol.stream import IdleTimeout, MessageStream, StreamTimeout
from server.tcp.dispatch import Dispatcher
from server.tcp.farewell import Farewells
from server.tcp.limits import TcpLimits
from server.tcp.workers import Workers


class Session:
    """Serves one connection until it ends. `run` is the reading thread; the rest may be called from any."""

    def __init__(
        self, stream: MessageStream, dispatcher: Dispatcher, workers: Workers, farewells: Farewells, limits: TcpLimits
    ) -> None:
        self._stream = stream
        self._dispatcher = dispatcher
        self._workers = workers
        self._farewells = farewells
        self._limits = limits
        self._admitted = not dispatcher.needs_hello  # this and the next: the reading thread's own
        self._ended_by_peer = False
        self._stopping = threading.Event()
        # Answers to write, numbers of requests that there is news of, None to end. Slots bound it: a request has one
        # answer and is here once for its news; one for the last word and one for the None besides.
        self._outbox: queue.Queue[bytes | int | None] = queue.Queue(2 * limits.max_in_flight + 2)
        self._changed = threading.Condition()  # guards the four below
        self._news: dict[int, bytes] = {}  # by request, the newest progress that is not written yet
        self._in_flight = 0
        self._gone = False
        self._last_answer = time.monotonic()

    def run(self) -> None:
        """Reads and serves until the peer ends, breaks the wire, or falls silent, and answers what is under way."""
        writer = threading.Thread(target=self._write, name=f"{threading.current_thread().name}-writer", daemon=True)
        writer.start()
        intact = False
        try:
            self._ended_by_peer = self._read()
            intact = True
        finally:
            if not intact:
                self.abort()  # a bug of ours, which threading.excepthook reports: leave nobody waiting
            self._wait_for_answers()
            self._outbox.put_nowait(None)
            writer.join()

    def leave(self) -> None:
        """Closes the connection, after `run`."""
        if self._ended_by_peer or self._is_gone():
            self._stream.close()
        else:
            self._farewells.take(self._stream)

    def finish(self) -> None:
        """Answers what is under way, refuses what else has arrived, and ends."""
        self._stopping.set()
        self._stream.end_receiving()

    def abort(self) -> None:
        """The connection is lost: nothing more is read, written, or begun for it."""
        with self._changed:
            self._gone = True
            self._changed.notify_all()
        self._stream.abort()

    # ------------------------------------------------------------------------------------------ reading

    def _read(self) -> bool:
        """Takes requests until there are no more; did the peer end the stream properly?"""
        try:
            while (payload := self._receive()) is not None:
                if not self._handle(payload):
                    return False
        except (FrameError, BadMessage) as error:
            self._say_last(error.code, str(error), error.request_id)
        except StreamTimeout as error:
            self._say_last(ErrorCode.TIMEOUT, f"{error}; the connection closes")
        except OSError:
            self.abort()
        else:
            return not self._stopping.is_set()
        return False

    def _receive(self) -> bytes | None:
        """The next payload. Raises IdleTimeout when nothing was asked, and nothing answered, for long enough."""
        patience = self._limits.idle_timeout_s
        while True:
            try:
                return self._stream.receive(patience, self._limits.frame_timeout_s)
            except IdleTimeout:
                with self._changed:
                    quiet = 0.0 if self._in_flight else time.monotonic() - self._last_answer
                patience = self._limits.idle_timeout_s - quiet
                if patience <= 0:
                    raise

    def _handle(self, payload: bytes) -> bool:
        """Serves one request; False when the connection must end. Raises BadMessage."""
        try:
            request = decode_request(payload)
        except RequestRefused as error:
            if not self._admitted:
                return self._turn_away(error.request_id)
            return self._take_slot() and self._post(
                self._dispatcher.refusal(error.request_id, error.code, str(error)), error.request_id
            )
        if not self._admitted or isinstance(request.body, Hello):
            if not self._dispatcher.admits(request.body):
                return self._turn_away(request.id)
            self._admitted = True
        return self._take_slot() and self._begin(request)

    def _begin(self, request: Request) -> bool:
        deadline = time.monotonic() + self._limits.request_timeout_s
        if self._dispatcher.is_instant(request.body):
            self._serve(request, deadline)
        else:
            refuse = partial(self._refuse_busy, request)
            if not self._workers.submit(partial(self._serve, request, deadline), refuse):
                refuse()
        return True

    def _take_slot(self) -> bool:
        """Waits until a request may be taken in; False when the connection is gone meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._gone or self._in_flight < self._limits.max_in_flight)
            self._in_flight += 1
            return not self._gone

    def _turn_away(self, request_id: int) -> bool:
        self._say_last(ErrorCode.UNAUTHORIZED, "this server asks for its token first: op 'hello'", request_id)
        return False

    def _say_last(self, code: ErrorCode, message: str, request_id: int = 0) -> None:
        if self._stopping.is_set():
            code, message = ErrorCode.BUSY, "the server is stopping"
        retry_after_ms = self._limits.retry_after_ms if code is ErrorCode.BUSY else None
        with self._changed:
            self._in_flight += 1
        self._post(self._dispatcher.refusal(request_id, code, message, "-", retry_after_ms), request_id)

    # ------------------------------------------------------------------------------------------ answering

    def _serve(self, request: Request, deadline: float) -> None:
        """In a worker (or here, for what needs none)."""
        if self._dispatcher.is_followed(request.body):
            channel = _RequestChannel(self, request.id)
            self._dispatcher.follow(request, deadline=deadline, gone=self._is_gone, channel=channel)
            return
        self._post(self._dispatcher.serve(request, deadline=deadline, gone=self._is_gone), request.id)

    def _refuse_busy(self, request: Request) -> None:
        message = "the server is stopping" if self._stopping.is_set() else "the server has all the work it can hold"
        op, wait = request.body.op, self._limits.retry_after_ms
        self._post(self._dispatcher.refusal(request.id, ErrorCode.BUSY, message, op, wait), request.id)

    def _is_gone(self) -> bool:
        with self._changed:
            return self._gone

    def tell(self, payload: bytes, request_id: int) -> None:
        """Progress of a request that holds a slot: written when there is time, unless something newer comes first."""
        with self._changed:
            waiting = request_id in self._news
            self._news[request_id] = payload
            if not waiting:
                self._outbox.put_nowait(request_id)

    def post(self, answer: bytes | None, request_id: int) -> None:
        """The answer of a request that was followed."""
        self._post(answer, request_id)

    def _post(self, answer: bytes | None, request_id: int) -> bool:
        """Hands an answer, for which a slot is held, to the writer; None when there is none after all."""
        if answer is None:
            self._free_slot()
            return True
        if len(answer) > self._stream.max_frame:
            message = f"the answer has {len(answer)} bytes, more than a frame may have; ask for less at a time"
            answer = self._dispatcher.refusal(request_id, ErrorCode.TOO_LARGE, message)
        self._outbox.put_nowait(answer)
        return True

    def _wait_for_answers(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._gone or self._in_flight == 0)

    def _free_slot(self) -> None:
        with self._changed:
            self._in_flight -= 1
            self._last_answer = time.monotonic()
            self._changed.notify_all()

    def _write(self) -> None:
        while (item := self._outbox.get()) is not None:
            try:
                if not self._is_gone():
                    self._stream.send(self._take_news(item) if isinstance(item, int) else item)
            except (StreamTimeout, OSError):
                self.abort()
            if not isinstance(item, int):
                self._free_slot()

    def _take_news(self, request_id: int) -> bytes:
        with self._changed:
            return self._news.pop(request_id)


class _RequestChannel:
    """A session as one long request sees it."""

    def __init__(self, session: Session, request_id: int) -> None:
        self._session = session
        self._id = request_id

    def progress(self, payload: bytes) -> None:
        """See Channel."""
        self._session.tell(payload, self._id)

    def answer(self, payload: bytes | None) -> None:
        """See Channel."""
        self._session.post(payload, self._id)
