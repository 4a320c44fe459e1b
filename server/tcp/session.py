"""One connection: a thread reads requests, the workers answer them, a second thread writes.

A request holds one of the connection's slots until its answer is written, so the answers waiting here are bounded,
and a client that never reads costs its own two threads and nobody else's.
"""

from __future__ import annotations

import logging
import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from facewire.protocol.codec import decode_request
from facewire.protocol.errors import BadMessage, ErrorCode, ForeignProtocol, FrameError, FrameTooLarge, RequestRefused
from facewire.protocol.messages import Hello, Request
from facewire.protocol.stream import IdleTimeout, MessageStream, NoRoom, StreamTimeout
from facewire.server.tcp.buffers import Buffers
from facewire.server.tcp.dispatch import NO_TOKEN, Dispatcher
from facewire.server.tcp.farewell import Farewells
from facewire.server.tcp.limits import TcpLimits
from facewire.server.tcp.places import Places
from facewire.server.tcp.tokens import network_of
from facewire.server.tcp.workers import Job, Workers

_log = logging.getLogger("facewire.tcp")

_FRAME_AGE_S = 2.0  # a frame that has taken so long may give way to a new connection, where nobody is silent
_KEPT_WAITING = 8 * 2**20  # bytes of a first request that is kept while it waits for a place; others are told at once

STOPPING = "the server is stopping"
SILENT_LONGEST = "this connection was silent longest, and a new one needed its place: connect again to ask"
TOO_SLOW = "this request took long to arrive, and others needed its memory: send it again"
NO_MEMORY = "the requests of others that are arriving take all the memory there is for them"


@dataclass(frozen=True, slots=True)
class House:
    """What all connections share."""

    dispatcher: Dispatcher
    workers: Workers
    farewells: Farewells
    places: Places
    buffers: Buffers
    limits: TcpLimits


class Session:
    """Serves one connection until it ends. `run` is the reading thread; the rest may be called from any."""

    def __init__(self, sock: socket.socket, address: str, house: House) -> None:
        self.network = network_of(address)
        self._address = address
        limits = house.limits
        self._stream = MessageStream(sock, max_frame=limits.max_frame, send_timeout=limits.send_timeout_s, memory=self)
        self._house = house
        self._dispatcher = house.dispatcher
        self._limits = limits
        self._admitted = not house.dispatcher.needs_hello  # may ask; this and the next: the reading thread writes them
        self._seated = False  # has a place of those who ask
        self._ended_by_peer = False  # this and the next: the reading thread's own
        self._hello_until = time.monotonic() + limits.hello_timeout_s
        # Answers to write, numbers of requests that there is news of, None to end. Slots bound it: a request has one
        # answer and is here once for its news; one for the last word and one for the None besides.
        self._outbox: queue.Queue[bytes | int | None] = queue.Queue(2 * limits.max_in_flight + 2)
        self._changed = threading.Condition()  # guards all below
        self._news: dict[int, bytes] = {}  # by request, the newest progress that is not written yet
        self._in_flight = 0
        self._gone = False
        self._ending: str | None = None  # why the server ends it, once it does: nothing is begun any more
        self._said_why = False
        self._unanswered = 0  # of those in flight: no answer is on its way
        self._silent_since = self._last_answer = time.monotonic()

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
            self._house.farewells.take(self._stream)

    def finish(self) -> None:
        """Answers what is under way, refuses what else has arrived, and ends."""
        self._end(STOPPING)

    def abort(self) -> None:
        """The connection is lost: nothing more is read, written, or begun for it."""
        with self._changed:
            self._gone = True
            self._changed.notify_all()
        self._stream.abort()
        self._house.buffers.look_again()

    def quiet_since(self) -> tuple[bool, float] | None:
        """See Guest. In the middle of a frame it may give way only when that takes long, or comes from a stranger."""
        with self._changed:
            if self._unanswered or self._gone or self._ending is not None:
                return None
            since = self._silent_since
        age = self._stream.frame_age
        if age is not None and age < _FRAME_AGE_S and self._seated:
            return None
        if age is None and self._stream.has_news():
            return None  # a request has come and was not read yet
        return age is not None, since

    def give_way(self, *, unheard: bool = False) -> bool:
        """See Guest."""
        return (unheard or self.quiet_since() is not None) and self._end(SILENT_LONGEST, if_idle=True)

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """See protocol.stream.Memory."""
        buffers = self._house.buffers
        until = time.monotonic() + self._limits.frame_timeout_s
        room = buffers.take(size, until=until, wanted=self._goes_on, give_up=partial(self._end, TOO_SLOW))
        if room is None:
            raise NoRoom(NO_MEMORY)
        try:
            yield
        finally:
            buffers.give_back(room)

    def _end(self, why: str, *, if_idle: bool = False) -> bool:
        """Reads no further; what is under way is answered. False where it is not idle, or ends already."""
        with self._changed:
            if self._ending is not None or self._gone or (if_idle and self._unanswered):
                return False
            self._ending = why
            self._changed.notify_all()
        self._stream.end_receiving(at_once=why != STOPPING)
        self._house.buffers.look_again()
        return True

    def _goes_on(self) -> bool:
        with self._changed:
            return self._ending is None and not self._gone

    # ------------------------------------------------------------------------------------------ reading

    def _read(self) -> bool:
        """Takes requests until there are no more; did the peer end the stream properly?"""
        intact = self._serve_all()
        with self._changed:
            why = self._ending
            unsaid = why is not None and why != STOPPING and not self._said_why
        if unsaid:
            self._say_last(ErrorCode.BUSY, str(why))
        return intact and why is None

    def _serve_all(self) -> bool:
        try:
            while (payload := self._receive()) is not None:
                if not self._handle(payload):
                    return False
        except ForeignProtocol as error:
            _log.warning("%s speaks %s to this port, which speaks facewire's protocol", self._address, error.protocol)
            self._say_last(error.code, str(error))
        except (FrameError, BadMessage) as error:
            if self._admitted or not isinstance(error, FrameTooLarge):
                self._say_last(error.code, str(error), error.request_id)
            else:  # before its token nothing is read that is longer than a token
                self._turn_away(NO_TOKEN, 0)
        except NoRoom as error:
            self._say_last(ErrorCode.BUSY, str(error))
        except StreamTimeout as error:
            said = error if self._admitted else f"no token in {self._limits.hello_timeout_s:g} s"
            self._say_last(ErrorCode.TIMEOUT, f"{said}; the connection closes")
        except OSError:
            self.abort()
        else:
            return True
        return False

    def _receive(self) -> bytes | None:
        """The next payload. Raises IdleTimeout when nothing was asked, and nothing answered, for long enough."""
        limits = self._limits
        if not self._admitted:
            left = max(0.0, self._hello_until - time.monotonic())
            return self._stream.receive(left, left, most=min(limits.max_hello, limits.max_frame))
        patience = limits.idle_timeout_s
        while True:
            try:
                return self._stream.receive(patience, limits.frame_timeout_s, slowest=limits.slowest_frame)
            except IdleTimeout:
                with self._changed:
                    quiet = 0.0 if self._in_flight else time.monotonic() - self._last_answer
                patience = limits.idle_timeout_s - quiet
                if patience <= 0:
                    raise

    def _handle(self, payload: bytes) -> bool:
        """Serves one request; False when the connection must end. Raises BadMessage."""
        try:
            request = decode_request(payload)
        except RequestRefused as error:
            if not self._admitted:
                return self._turn_away(NO_TOKEN, error.request_id)
            return (
                self._take_place(len(payload))
                and self._take_slot()
                and self._post(self._dispatcher.refusal(error.request_id, error.code, str(error)), error.request_id)
            )
        if not self._admitted or isinstance(request.body, Hello):
            if isinstance(request.body, Hello) and not self._wait(self._dispatcher.hears_token_in(self._address)):
                return False
            why = self._dispatcher.turned_away(request.body, self._address)
            if why is not None:
                return self._turn_away(why, request.id)
            self._admitted = True
        return self._take_place(len(payload)) and self._take_slot() and self._begin(request, len(payload))

    def _take_place(self, size: int) -> bool:
        """Among those who ask, at the first request: until then it was a stranger. False when there is none."""
        if not self._seated:
            with self._changed:  # it has asked: while it waits it does not give way itself
                self._unanswered += 1
            wait_s = self._limits.place_wait_s if size <= _KEPT_WAITING else 0.0
            self._seated = self._house.places.admit(self, wait_s, self._goes_on)
            with self._changed:
                self._unanswered -= 1
            if not self._seated:
                self._say_last(ErrorCode.BUSY, all_taken(self._house.places))
        return self._seated

    def _begin(self, request: Request, size: int) -> bool:
        deadline = time.monotonic() + self._limits.request_timeout_s
        run = partial(self._serve, request, deadline)
        if self._dispatcher.is_instant(request.body):
            run()
        else:
            refuse, expire = partial(self._refuse_busy, request), partial(self._expire, request)
            self._house.workers.submit(Job(self, request.body.op, size, deadline, run, refuse, expire))
        return True

    def _take_slot(self) -> bool:
        """Waits until a request may be taken in; False when the connection is gone meanwhile, or has given way."""
        with self._changed:
            self._changed.wait_for(lambda: self._gone or self._in_flight < self._limits.max_in_flight)
            if self._ending is not None and self._ending != STOPPING:
                return False
            self._in_flight += 1
            self._unanswered += 1
            return not self._gone

    def _wait(self, seconds: float) -> bool:
        """False when the connection ends meanwhile."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._gone or self._ending is not None, seconds)

    def _turn_away(self, why: str, request_id: int) -> bool:
        self._say_last(ErrorCode.UNAUTHORIZED, why, request_id)
        return False

    def _say_last(self, code: ErrorCode, message: str, request_id: int = 0) -> None:
        with self._changed:
            if self._ending is not None:
                code, message = ErrorCode.BUSY, self._ending
            self._said_why = True
            self._in_flight += 1
            self._unanswered += 1
        retry_after_ms = self._limits.retry_after_ms if code is ErrorCode.BUSY else None
        self._post(self._dispatcher.refusal(request_id, code, message, "-", retry_after_ms), request_id)

    # ------------------------------------------------------------------------------------------ answering

    def _serve(self, request: Request, deadline: float) -> None:
        """In a worker (or here, for what needs none)."""
        if self._dispatcher.is_followed(request.body):
            channel = _RequestChannel(self, request.id)
            self._dispatcher.follow(request, deadline=deadline, gone=self._is_gone, channel=channel)
            return
        step_s, tell = self._limits.request_timeout_s, partial(self.tell, request_id=request.id)
        answer = self._dispatcher.serve(request, deadline=deadline, gone=self._is_gone, step_s=step_s, tell=tell)
        self._post(answer, request.id)

    def _refuse_busy(self, request: Request, after_ms: int) -> None:
        """`after_ms`: 0 when the server is stopping."""
        message = "the server has all the work it can hold" if after_ms else STOPPING
        op, wait = request.body.op, max(after_ms, self._limits.retry_after_ms)
        self._post(self._dispatcher.refusal(request.id, ErrorCode.BUSY, message, op, wait), request.id)

    def _expire(self, request: Request) -> None:
        self._post(self._dispatcher.expired(request), request.id)

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
        with self._changed:  # before the peer can know of it
            self._unanswered -= 1
            self._silent_since = time.monotonic()
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


def all_taken(places: Places) -> str:
    """Why there is no place for a connection."""
    return f"all {places.members} connections are taken, and each has asked for something"


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
