"""Accepts connections up to a limit, refuses the rest with an error, and stops gracefully."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import selectors
import socket
import threading
import time
from collections.abc import Iterable

from facewire.protocol.errors import ErrorCode
from facewire.protocol.stream import MessageStream, StreamTimeout
from facewire.server.errors import StartError
from facewire.server.tcp.buffers import Buffers
from facewire.server.tcp.certificates import Certificates
from facewire.server.tcp.descriptors import make_room_for
from facewire.server.tcp.dispatch import Dispatcher
from facewire.server.tcp.limits import TcpLimits
from facewire.server.tcp.lingering import LingeringClose
from facewire.server.tcp.places import Places
from facewire.server.tcp.session import Session, Shared
from facewire.server.tcp.workers import Load, Workers

_log = logging.getLogger("facewire.tcp")

_BACKLOG = 128  # connections the kernel holds until we accept them: a burst of clients, twice the default slots
_PAUSE_S = 0.1  # after accept failed for want of descriptors: lets sessions end, avoids a busy loop
_ABORT_AT = 0.7  # of the grace period: then requests under way are cut off, and the rest is left for threads to end


class Listener:
    """Serves `dispatcher` on a TCP port; `port` 0 takes any free one.

    The constructor binds the port (StartError if it can't) and sets `address`; `start` opens it.
    """

    def __init__(
        self, dispatcher: Dispatcher, host: str, port: int, *, limits: TcpLimits | None = None,
        certificates: Certificates | None = None,
    ) -> None:  # fmt: skip
        """`certificates`: for TLS; None: plain."""
        self._dispatcher = dispatcher
        self._limits = limits = limits or TcpLimits()
        room = make_room_for(limits)
        self._sock = _bind(host, port)  # first, because if this fails there is nothing to clean up
        address = self._sock.getsockname()
        self.address: tuple[str, int] = (address[0], address[1])
        self._workers = Workers(
            limits.workers, limits.queue, most_bytes=limits.max_buffered, max_wait_s=limits.max_wait_s
        )
        self._lingering = LingeringClose(room.lingering)
        self._places = Places(
            room,
            per_address=limits.max_per_address,
            changed=dispatcher.metrics.connections,
        )
        self.buffers = Buffers(limits.max_buffered)
        self._shared = Shared(
            dispatcher, self._workers, self._lingering, self._places, self.buffers, limits, certificates
        )
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()  # guards the next three
        self._sessions: dict[Session, threading.Thread] = {}
        self._started = False
        self._stopping = False
        self._wake, self._waker = socket.socketpair()
        self._ended = threading.Event()
        self._acceptor = threading.Thread(target=self._accept_all, name="facewire-acceptor", daemon=True)

    def load(self) -> Load:
        """What the workers have to do at this moment."""
        return self._workers.load()

    def start(self) -> None:
        """Starts accepting, in threads of its own. Raises StartError if another process took the port meanwhile."""
        try:
            self._sock.listen(_BACKLOG)
        except OSError as error:
            raise _start_error(*self.address, error) from error
        self._workers.start()
        self._acceptor.start()
        with self._lock:
            self._started = True

    def stop(self, grace_s: float = 5.0) -> bool:
        """Stops accepting, finishes requests under way, refuses the rest, and ends every thread within `grace_s`.

        Returns False if a thread was still computing then. A second call waits for the first. Don't call it from a
        signal handler: it takes locks that the interrupted thread may hold.
        """
        with self._lock:
            first, self._stopping = not self._stopping, True
            started = self._started
        if not first:
            return self._ended.wait(grace_s)
        ended = not started or self._drain(time.monotonic(), grace_s)
        for sock in (self._sock, self._wake, self._waker):
            sock.close()
        self._ended.set()
        return ended

    def _drain(self, now: float, grace_s: float) -> bool:
        """Ends every thread; did all end in time?"""
        self._waker.send(b"x")
        self._acceptor.join()  # at once: it only accepts
        self._sock.close()
        with self._lock:
            sessions = dict(self._sessions)
        for session in sessions:
            session.finish()
        self._workers.stop()
        for session in sessions:
            session.let_go()
        _join(sessions.values(), now + grace_s * _ABORT_AT)
        for session in sessions:
            session.abort()  # harmless for ended sessions
        _join(sessions.values(), now + grace_s)
        ended = [self._workers.join(now + grace_s), self._lingering.stop(now + grace_s)]
        ended += [not thread.is_alive() for thread in sessions.values()]
        if not all(ended):
            _log.warning("stopped with work still in progress after %.1f s", grace_s)
        return all(ended)

    # ------------------------------------------------------------------------------------------ accepting

    def _accept_all(self) -> None:
        with selectors.DefaultSelector() as selector:
            self._sock.setblocking(False)
            selector.register(self._sock, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._wake in ready:
                    break
                self._accept()
        # Those the kernel has accepted meanwhile are told that the server stops, rather than cut off without a word.
        for _ in range(_BACKLOG):
            if not self._accept():
                return

    def _accept(self) -> bool:
        """Serves the next connection. False if there was none."""
        try:
            sock, peer = self._sock.accept()
        except BlockingIOError:
            return False
        except ConnectionError:
            return True  # the client disconnected before we accepted it
        except OSError as error:
            _log.warning("can't accept a connection: %s", error)
            time.sleep(_PAUSE_S)
            return False
        try:
            self._open_session(sock, peer[0])
        except (OSError, RuntimeError) as error:  # RuntimeError: the system can't start a thread
            _log.warning("can't serve a connection: %s", error)
            sock.close()
        return True

    def _open_session(self, sock: socket.socket, address: str) -> None:
        """Serves `sock` in a thread of its own, or refuses it if all places are taken."""
        session = Session(sock, address, self._shared)
        if not self._places.enter(session):
            self._refuse(sock)
            return
        name = f"facewire-session-{next(self._numbers)}"
        thread = threading.Thread(target=self._serve, args=(session,), name=name, daemon=True)
        try:
            with self._lock:
                # A thread can't report its own end, so ended ones are removed here.
                self._sessions = {session: thread for session, thread in self._sessions.items() if thread.is_alive()}
                thread.start()
                self._sessions[session] = thread
        except RuntimeError:
            self._places.leave(session)
            raise

    def _serve(self, session: Session) -> None:
        try:
            session.run()
        finally:
            self._places.leave(session)  # before closing it, so that a client that saw the close finds the place free
            session.leave()

    def _refuse(self, sock: socket.socket) -> None:
        """Sends `busy`: a hundred bytes into a new socket's empty buffer, so this doesn't block. With TLS that would
        take a handshake, so there the connection just ends."""
        stream = MessageStream(sock, send_timeout=0)
        if self._shared.certificates is not None:
            stream.close()
            return
        message = self._places.all_taken
        with contextlib.suppress(StreamTimeout, OSError):
            stream.send(self._dispatcher.answers.refusal(0, ErrorCode.BUSY, message, "-", self._limits.retry_after_ms))
        self._lingering.close_soon(stream)


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (socket.gaierror, OverflowError) as error:
        raise StartError(f"can't listen on {host}:{port}: {error}; see --host and --port", exit_code=2) from error
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Otherwise a restarted server would have to wait a minute for its old connections to expire.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise _start_error(host, port, error) from error
    return sock


def _start_error(host: str, port: int, error: OSError) -> StartError:
    if error.errno == errno.EADDRINUSE:
        return StartError(f"port {port} on {host} is in use; stop what uses it, or choose another with --port")
    if error.errno == errno.EACCES:
        return StartError(f"port {port} needs privileges; choose one above 1023 with --port", exit_code=2)
    return StartError(f"can't listen on {host}:{port}: {error.strerror}; see --host and --port", exit_code=2)


def _join(threads: Iterable[threading.Thread], until: float) -> None:
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
