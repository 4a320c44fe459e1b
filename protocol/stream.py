"""Frames over a connected socket, plain or encrypted: with tls.py, the only module that calls recv and send.

The socket is non-blocking, and every wait is a poll with its own deadline, so one thread can receive while others
send, each with its own timeout (a socket's own timeout applies to both directions).
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, Self

from facewire.protocol.framing import DEFAULT_MAX_FRAME, SMALL, FrameDecoder, encode_frame

_CHUNK = 256 * 1024  # bytes per recv: a photo takes a few calls; allocated only during one

_STALL_S = 10.0  # without a byte of a frame: longer than repeated retransmissions of a lost packet take

# poll() if available: select() fails on descriptors over 1023, and epoll would cost a descriptor per wait.
_Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)


class StreamTimeout(Exception):
    """The peer took too long."""


class NoRoom(StreamTimeout):
    """No memory for a frame became available in time."""


class IdleTimeout(StreamTimeout):
    """No frame began in time."""


class FrameTimeout(StreamTimeout):
    """A frame did not arrive in time."""


class SendTimeout(StreamTimeout):
    """The peer accepted no data in time."""


class Channel(Protocol):
    """A non-blocking socket, or what looks like one (tls.py)."""

    def fileno(self) -> int: ...
    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: memoryview, /) -> int: ...
    def shutdown(self, how: int, /) -> None: ...
    def close(self) -> None: ...


class Securing(Channel, Protocol):
    """A channel that must shake hands first."""

    @property
    def wants_to_write(self) -> bool: ...
    @property
    def has_arrived(self) -> bool: ...
    def shake_hands(self) -> None: ...


class Memory(Protocol):
    """The source of large frames' memory."""

    def room(self, size: int) -> AbstractContextManager[None]:
        """Reserves `size` bytes while the frame arrives. Blocks until they are free; raises NoRoom."""
        ...


class _Plenty:
    def room(self, size: int) -> AbstractContextManager[None]:
        return nullcontext()


class MessageStream:
    """Sends and receives payloads. Any thread may send or `abort`; only one may receive, and it must be the one to
    close.

    Every method may raise OSError if the connection is broken.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        max_frame: int = DEFAULT_MAX_FRAME,
        send_timeout: float | None = None,
        memory: Memory | None = None,
    ) -> None:
        """`send_timeout`: seconds without the peer accepting a byte; None waits forever."""
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # Frames are written whole, so waiting to fill a packet (Nagle) would only delay small answers.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.max_frame = max_frame
        self._raw = sock
        self._sock: Channel = sock  # what bytes go through
        self._secured: Securing | None = None
        self._send_timeout = send_timeout
        self._memory: Memory = memory or _Plenty()
        self._decoder = FrameDecoder(max_frame)
        self._unheard = False  # set once, by any thread
        self._frame_since: float | None = None  # start of the incoming frame; read by other threads, too
        # Guards the socket's write side: frames are sent whole, and never to a closed descriptor.
        self._write_lock = threading.Lock()

    def secure(self, begin: Callable[[socket.socket], Securing], timeout: float) -> None:
        """Encrypts the stream from here on, before anything was sent or received. Only the receiving thread may call
        it. Raises StreamTimeout after `timeout` seconds, and what the channel raises; then the stream is plain."""
        until = _deadline(timeout)
        channel = begin(self._raw)
        while True:
            try:
                channel.shake_hands()
            except BlockingIOError:
                event = selectors.EVENT_WRITE if channel.wants_to_write else selectors.EVENT_READ
                if not self._wait(event, until):
                    raise StreamTimeout(f"no TLS handshake in {timeout:g} s") from None
            else:
                break
        self._sock = self._secured = channel

    def receive(
        self,
        idle_timeout: float | None,
        frame_timeout: float | None,
        *,
        most: int | None = None,
        slowest: float | None = None,
    ) -> bytes | None:
        """The next payload, or None if the peer ended the stream between two frames.

        Waits `idle_timeout` seconds for a frame to begin (IdleTimeout), and `frame_timeout` for all of it
        (FrameTimeout), however many bytes trickle in meanwhile; None waits forever. `most`: a smaller limit in bytes
        for this frame; `slowest`: minimum rate in bytes per second (see `_longest`). Raises FrameError, NoRoom.
        """
        self._decoder.max_frame = self.max_frame if most is None else most
        try:
            return self._next(idle_timeout, frame_timeout, slowest)
        except BaseException:
            self._decoder.drop()  # now, as the connection may close only seconds later
            raise
        finally:
            self._frame_since = None

    @property
    def frame_age(self) -> float | None:
        """Seconds since the incoming frame began; None between frames. Any thread may call this."""
        since = self._frame_since
        return None if since is None else time.monotonic() - since

    def has_arrived(self) -> bool:
        """Is there unread data, or has the peer ended the stream? Any thread may call this before `close`."""
        if self._secured is not None and self._secured.has_arrived:
            return True
        with _Selector() as selector:
            selector.register(self._sock, selectors.EVENT_READ)
            return bool(selector.select(0))

    def _next(self, idle_timeout: float | None, frame_timeout: float | None, slowest: float | None) -> bytes | None:
        until = _deadline(idle_timeout)
        while (payload := self._decoder.next_frame()) is None:
            if self._decoder.announced is not None:
                return self._rest(self._decoder.announced, frame_timeout, slowest)
            inside = self._decoder.inside_frame
            if inside and self._frame_since is None:
                self._frame_since, until = time.monotonic(), _deadline(_least(frame_timeout, slowest and _STALL_S))
            data = self._receive_some(until)
            if data is None:
                raise (
                    FrameTimeout(f"no whole frame in {frame_timeout:g} s")
                    if inside
                    else IdleTimeout(f"nothing asked for {idle_timeout:g} s")
                )
            if not data:
                self._decoder.finish()
                return None
            self._decoder.feed(data)
        return payload

    def _rest(self, size: int, frame_timeout: float | None, slowest: float | None) -> bytes:
        """The payload of a frame whose length is known."""
        if self._frame_since is None:
            self._frame_since = time.monotonic()
        with self._memory.room(size) if size > SMALL else nullcontext():
            longest = _longest(size, frame_timeout, slowest)
            until = _deadline(longest)  # from now, as it could not arrive before there was memory
            while (payload := self._decoder.next_frame()) is None:
                stalled = None if slowest is None else time.monotonic() + _STALL_S
                data = self._receive_some(_least(until, stalled))
                if data is None and (until is None or time.monotonic() < until):
                    raise FrameTimeout(f"nothing more of a frame in {_STALL_S:g} s")
                if data is None:
                    raise FrameTimeout(f"no whole frame of {size} bytes in {longest:g} s")
                if not data:
                    self._decoder.finish()
                self._decoder.feed(data)
        return payload

    def send(self, payload: bytes) -> None:
        """Sends a whole frame. Raises SendTimeout, after which nothing more can be sent, and FrameError."""
        frame = encode_frame(payload, self.max_frame)
        with self._write_lock, memoryview(frame) as view:
            sent = 0
            while sent < len(view):
                sent += self._send_some(view[sent:])

    def drain(self, until: float) -> None:
        """Discards received data until the peer ends or breaks the stream, or until `until` (time.monotonic)."""
        try:
            while self._wait(selectors.EVENT_READ, until) and self._raw.recv(_CHUNK):
                pass
        except OSError:
            return

    def end_sending(self) -> None:
        """Ends our direction of the stream; the peer can still send."""
        self._shutdown(socket.SHUT_WR)

    def end_receiving(self, *, at_once: bool = False) -> None:
        """Makes our receiver see the end of the stream: after the data that has arrived, or `at_once`."""
        if at_once:
            self._unheard = True
        self._shutdown(socket.SHUT_RD)

    def abort(self) -> None:
        """Ends both directions at once and wakes threads that receive or send. Any thread may call this."""
        self._shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends the connection and frees the socket. Harmless when repeated. Only for the receiving thread: another
        would free a descriptor that the receiver may be polling."""
        self.end_sending()
        self.abort()
        with self._write_lock:
            self._sock.close()

    def fileno(self) -> int:
        """The socket's descriptor, -1 after `close`."""
        return self._sock.fileno()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _receive_some(self, until: float | None) -> bytes | None:
        """Received bytes, b"" at the end of the stream, or None if nothing arrived by `until`."""
        while not self._unheard:
            try:
                return self._sock.recv(_CHUNK)
            except BlockingIOError:
                if not self._wait(selectors.EVENT_READ, until):
                    return None
        return b""

    def _send_some(self, view: memoryview) -> int:
        until = _deadline(self._send_timeout)
        while True:
            try:
                return self._sock.send(view)
            except BlockingIOError:
                if not self._wait(selectors.EVENT_WRITE, until):
                    raise SendTimeout(f"the peer took nothing for {self._send_timeout} s") from None

    def _wait(self, event: int, until: float | None) -> bool:
        """Waits until the socket is ready. False if it isn't by `until`."""
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            return False
        with _Selector() as selector:
            selector.register(self._sock, event)
            return bool(selector.select(left))

    def _shutdown(self, how: int) -> None:
        try:
            self._sock.shutdown(how)
        except OSError:
            return  # already ended by the peer or closed, as intended


def _longest(size: int, frame_timeout: float | None, slowest: float | None) -> float | None:
    """Seconds that a frame may take: a fixed allowance for stalls, plus its size at the slowest rate."""
    return frame_timeout if slowest is None else _least(frame_timeout, _STALL_S / 2 + size / slowest)


def _least(one: float | None, other: float | None) -> float | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)


def _deadline(seconds: float | None) -> float | None:
    return None if seconds is None else time.monotonic() + seconds
