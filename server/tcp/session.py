"""One connection: one thread reads requests, the workers answer them, a second thread (the outbox's) writes.

A client that never reads costs its own two threads and nobody else's.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from facewire.protocol.codec import decode_request, encode_answer
from facewire.protocol.errors import BadMessage, ErrorCode, ForeignProtocol, FrameError, FrameTooLarge, RequestRefused
from facewire.protocol.messages import Progress, Request, Result
from facewire.protocol.stream import IdleTimeout, MessageStream, NoRoom, StreamTimeout
from facewire.protocol.tls import NotTls
from facewire.server.errors import Busy, RequestError
from facewire.server.reply import Reply
from facewire.server.tcp.admission import Admission, LastWord
from facewire.server.tcp.buffers import Buffers
from facewire.server.tcp.certificates import Certificates
from facewire.server.tcp.dispatch import NO_TOKEN, Dispatcher, Kind
from facewire.server.tcp.lifetime import STOPPING, Lifetime
from facewire.server.tcp.limits import TcpLimits
from facewire.server.tcp.lingering import LingeringClose
from facewire.server.tcp.outbox import Outbox
from facewire.server.tcp.places import Places
from facewire.server.tcp.tokens import network_of
from facewire.server.tcp.workers import Job, Workers

_log = logging.getLogger("facewire.tcp")

_FRAME_AGE_S = 2.0  # if nobody is idle, a connection whose frame has taken this long may be evicted for a new one

SILENT_LONGEST = "this connection had been silent longest, and a new one needed its place: connect again"
TOO_SLOW = "this request took too long to arrive, and others needed its memory: send it again"
NO_MEMORY = "other requests that are arriving use all the memory set aside for them"
SPEAKS_TLS = "this port speaks TLS only: connect to facewires://HOST:PORT, or with --tls"
GOES_ON_LATER = "the server is stopping; the rest is done after its next start"
_ASK_AFTER_RESTART_MS = 5000


@dataclass(frozen=True, slots=True)
class Shared:
    """Objects shared by all connections."""

    dispatcher: Dispatcher
    workers: Workers
    lingering: LingeringClose
    places: Places
    buffers: Buffers
    limits: TcpLimits
    certificates: Certificates | None  # None: plain


class Session:
    """Serves one connection until it ends. `run` is the reading thread; the rest may be called from any thread."""

    def __init__(self, sock: socket.socket, address: str, shared: Shared) -> None:
        self.network = network_of(address)
        self._address = address
        limits = shared.limits
        self._stream = MessageStream(sock, max_frame=limits.max_frame, send_timeout=limits.send_timeout_s, memory=self)
        self._shared = shared
        self._dispatcher = shared.dispatcher
        self._limits = limits
        self._life = Lifetime(limits.max_in_flight)
        self._outbox = Outbox(self._stream, self._life, limits.max_in_flight, self.abort)
        self._admission = Admission(address, shared.dispatcher, shared.places, limits, self._life)
        self._said_last = False  # this and the next: used by the reading thread only
        self._ended_by_peer = False
        self._lock = threading.Lock()  # guards _followers
        self._followers: set[Reply] = set()  # requests that a job will answer

    def run(self) -> None:
        """Reads and serves until the peer closes, violates the protocol or times out; then finishes pending answers."""
        self._outbox.start()
        intact = False
        try:
            self._ended_by_peer = self._read()
            intact = True
        finally:
            if not intact:
                self.abort()  # a bug of ours, reported by threading.excepthook: leave nobody waiting
            self._life.wait_for_answers()
            if intact:
                self._say_it_stops()
            self._outbox.close()

    def leave(self) -> None:
        """Closes the connection after `run`, and waits for the peer to read the last answer."""
        self._shared.workers.leave(self)
        if self._ended_by_peer or self._life.lost:
            self._stream.close()
        else:
            self._shared.lingering.close(self._stream)

    def finish(self) -> None:
        """Answers requests under way, refuses any others that have arrived, says that it stops, and ends."""
        self._end(STOPPING)

    def let_go(self) -> None:
        """Stops waiting for jobs, which resume after the next start. Called once a stopping server's workers ended."""
        with self._lock:
            followers = list(self._followers)
        for reply in followers:
            reply.failed(Busy(GOES_ON_LATER, retry_after_ms=_ASK_AFTER_RESTART_MS))

    def abort(self) -> None:
        """Drops the connection: nothing more is read, written or started for it."""
        self._life.lose()
        self._stream.abort()
        self._shared.buffers.look_again()

    def quiet_since(self) -> tuple[bool, float] | None:
        """See Guest. In the middle of a frame it may be evicted only if that frame is slow or a stranger's."""
        since = self._life.silent_since()
        if since is None:
            return None
        age = self._stream.frame_age
        if age is not None and age < _FRAME_AGE_S and self._admission.seated:
            return None
        if age is None and self._stream.has_arrived():
            return None  # a request has arrived but is not read yet
        return age is not None, since

    def give_way(self, *, unheard: bool = False) -> bool:
        """See Guest."""
        return (unheard or self.quiet_since() is not None) and self._end(SILENT_LONGEST, if_idle=True)

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """See protocol.stream.Memory."""
        buffers = self._shared.buffers
        until = time.monotonic() + self._limits.frame_timeout_s
        room = buffers.take(size, until=until, wanted=self._life.goes_on, give_up=partial(self._end, TOO_SLOW))
        if room is None:
            raise NoRoom(NO_MEMORY)
        try:
            yield
        finally:
            buffers.give_back(room)

    def _end(self, why: str, *, if_idle: bool = False) -> bool:
        """Stops reading; requests under way are still answered. False as for `Lifetime.end`."""
        ends = self._life.end(why, if_idle=if_idle)
        if ends:
            self._stream.end_receiving(at_once=why != STOPPING)
            self._shared.buffers.look_again()
        return ends

    # ------------------------------------------------------------------------------------------ reading

    def _read(self) -> bool:
        """Reads requests until there are no more. Did the peer end the stream properly?"""
        intact = self._secure() and self._serve_all()
        why = self._life.why_it_ends
        if why is not None and why != STOPPING and not self._said_last:
            self._say_last(ErrorCode.BUSY, why)
        return intact and why is None

    def _say_it_stops(self) -> None:
        """The last word of a server that stops, once everything begun is answered: so what it doesn't answer was not
        begun, and can be sent to another."""
        if self._life.why_it_ends == STOPPING and not self._said_last and not self._life.lost:
            self._say_last(ErrorCode.BUSY, STOPPING)

    def _secure(self) -> bool:
        """Shakes hands, where this server speaks TLS. False if that failed."""
        certificates = self._shared.certificates
        if certificates is None:
            return True
        try:
            self._stream.secure(certificates.channel, self._admission.hello_left())
        except NotTls:
            _log.warning("%s doesn't speak TLS to this port, which speaks nothing else", self._address)
            self._say_last(ErrorCode.BAD_FRAME, SPEAKS_TLS)
        except (StreamTimeout, OSError) as error:
            _log.info("no TLS with %s: %s", self._address, error)
            self._said_last = True  # there is no way to say anything
        else:
            return True
        return False

    def _serve_all(self) -> bool:
        try:
            while (payload := self._receive()) is not None:
                if not self._handle(payload):
                    return False
                del payload  # an idle connection must not hold its last picture, which no limit counts any more
        except LastWord as word:
            self._say_last(word.code, str(word), word.request_id)
        except ForeignProtocol as error:
            _log.warning("%s speaks %s to this port, which speaks facewire's protocol", self._address, error.protocol)
            self._say_last(error.code, str(error))
        except (FrameError, BadMessage) as error:
            if self._admission.trusted or not isinstance(error, FrameTooLarge):
                self._say_last(error.code, str(error), error.request_id)
            else:  # before the token, frames longer than one are not read
                self._say_last(ErrorCode.UNAUTHORIZED, NO_TOKEN)
        except NoRoom as error:
            self._say_last(ErrorCode.BUSY, str(error))
        except StreamTimeout as error:
            said = error if self._admission.trusted else f"no token in {self._limits.hello_timeout_s:g} s"
            self._say_last(ErrorCode.TIMEOUT, f"{said}; the connection closes")
        except OSError:
            self.abort()
        else:
            return True
        return False

    def _receive(self) -> bytes | None:
        """The next payload. Raises IdleTimeout after `idle_timeout_s` without a request or an answer."""
        limits = self._limits
        if not self._admission.trusted:
            left = self._admission.hello_left()
            return self._stream.receive(left, left, most=min(limits.max_hello, limits.max_frame))
        patience = limits.idle_timeout_s
        while True:
            try:
                return self._stream.receive(patience, limits.frame_timeout_s, slowest=limits.slowest_frame)
            except IdleTimeout:
                patience = limits.idle_timeout_s - self._life.unused_for()
                if patience <= 0:
                    raise

    def _handle(self, payload: bytes) -> bool:
        """Serves one request. False if the connection must end. Raises BadMessage, LastWord."""
        request: Request | RequestRefused
        try:
            request = decode_request(payload)
        except RequestRefused as error:
            request = error
        if not self._admission.admit(self, request, len(payload)) or not self._life.take_slot():
            return False
        if isinstance(request, RequestRefused):
            self._turn_down(request, len(payload))
        else:
            self._begin(request, len(payload))
        return True

    def _turn_down(self, refused: RequestRefused, size: int) -> None:
        answers = self._dispatcher.answers
        try:
            self._dispatcher.count_unreadable(self._admission.caller, size)
        except Busy as error:
            self._post(answers.refusal(refused.request_id, ErrorCode.BUSY, str(error), "-", error.retry_after_ms))
        else:
            self._post(answers.refusal(refused.request_id, refused.code, str(refused)))

    def _begin(self, request: Request, size: int) -> None:
        caller = self._admission.caller
        reply = Reply(request, self, caller)
        try:
            reply.at_end = self._dispatcher.permit(request.body, caller, size).end
        except RequestError as error:
            reply.failed(error)
            return
        deadline = time.monotonic() + self._limits.request_timeout_s
        serve = partial(self._dispatcher.serve, reply, deadline=deadline, step_s=self._limits.request_timeout_s)
        kind = self._dispatcher.route(request.body).kind
        if kind is Kind.INSTANT:
            serve()
            return
        if kind is Kind.FOLLOWED:
            with self._lock:
                self._followers.add(reply)
        refuse, expire = partial(self._refuse_busy, reply), partial(self._dispatcher.expire, reply)
        self._shared.workers.submit(Job(self, request.body.op, size, deadline, serve, refuse, expire))

    # ------------------------------------------------------------------------------------------ answering

    def gone(self) -> bool:
        """See Connection."""
        return self._life.lost

    def send_progress(self, progress: Progress) -> None:
        """See Connection."""
        self._outbox.put_progress(progress.id, encode_answer(progress))

    def send_answer(self, reply: Reply, outcome: Result | Exception | None) -> None:
        """See Connection."""
        with self._lock:
            self._followers.discard(reply)
        self._post(self._dispatcher.answers.encoded(reply, outcome), reply.request.id)

    def _refuse_busy(self, reply: Reply, after_ms: int) -> None:
        """`after_ms`: when to retry; 0 if the server is stopping."""
        message = "the server has all the work it can take" if after_ms else STOPPING
        reply.failed(Busy(message, retry_after_ms=max(after_ms, self._limits.retry_after_ms)))

    def _say_last(self, code: ErrorCode, message: str, request_id: int = 0) -> None:
        why = self._life.why_it_ends
        if why is not None:
            code, message = ErrorCode.BUSY, why
        self._said_last = True
        self._life.take_last_slot()
        retry_after_ms = self._limits.retry_after_ms if code is ErrorCode.BUSY else None
        self._post(self._dispatcher.answers.refusal(request_id, code, message, "-", retry_after_ms))

    def _post(self, answer: bytes | None, request_id: int = 0) -> None:
        """Queues an answer, whose slot is already held. None frees the slot without an answer."""
        self._life.answered()
        if answer is None:
            self._life.free_slot()
            return
        if len(answer) > self._stream.max_frame:
            message = f"the answer has {len(answer)} bytes, more than a frame may have; ask for less at a time"
            answer = self._dispatcher.answers.refusal(request_id, ErrorCode.TOO_LARGE, message)
        self._outbox.put(answer)
