"""Frames over a connected socket: the only module that receives and sends.

The socket is non-blocking and every wait is a poll with its own deadline, so one thread may receive while others
send, each with its own patience (a socket's timeout is one for both directions).
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from typing import Self

from protocol.framing import DEFAULT_MAX_FRAME, FrameDecoder, encode_frame

_CHUNK = 256 * 1024  # bytes a recv asks for: a photo in a few calls; allocated only while one is under way

# poll() where there is one: select() fails on descriptors over 1023, epoll would cost a descriptor a wait.
_Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)


class StreamTimeout(Exception):
    """The peer took longer than it may."""


class IdleTimeout(StreamTimeout):
    """Between two frames: the peer has nothing to say."""


class FrameTimeout(StreamTimeout):
    """Inside a frame: the peer is too slow, or gone without a word."""


class SendTimeout(StreamTimeout):
    """The peer takes nothing of what is sent."""


class MessageStream:
    """Sends and receives payloads. One thread receives; any may send; any may `abort`; the receiver closes.

    Every method may raise OSError when the connection is broken.
    """

    def __init__(
        self, sock: socket.socket, *, max_frame: int = DEFAULT_MAX_FRAME, send_timeout: float | None = None
    ) -> None:
        """`send_timeout`: seconds that the peer may take no byte of what is sent; None waits for ever."""
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # Frames are written whole: waiting to fill a packet (Nagle) would only delay small answers.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.max_frame = max_frame
        self._sock = sock
        self._send_timeout = send_timeout
        self._decoder = FrameDecoder(max_frame)
        # Guards the socket's write side: a frame goes out whole, and nobody writes to a closed descriptor.
        self._write_lock = threading.Lock()

    def receive(self, idle_timeout: float | None, frame_timeout: float | None) -> bytes | None:
        """The next payload, or None when the peer ended the stream between two frames.

        Waits `idle_timeout` seconds for a frame to begin (IdleTimeout) and `frame_timeout` for all of it
        (FrameTimeout), however many bytes trickle in meanwhile; None waits for ever. Raises FrameError.
        """
        idle_until = _deadline(idle_timeout)
        frame_until: float | None = None
        while (payload := self._decoder.next_frame()) is None:
            inside = self._decoder.inside_frame
            if inside and frame_until is None:
                frame_until = _deadline(frame_timeout)
            data = self._receive_some(frame_until if inside else idle_until)
            if data is None:
                raise (
                    FrameTimeout(f"no whole frame in {frame_timeout} s")
                    if inside
                    else IdleTimeout(f"nothing asked for {idle_timeout} s")
                )
            if not data:
                self._decoder.finish()
                return None
            self._decoder.feed(data)
        return payload

    def send(self, payload: bytes) -> None:
        """Sends one frame whole. Raises SendTimeout, after which nothing more can be sent, and FrameError."""
        frame = encode_frame(payload, self.max_frame)
        with self._write_lock, memoryview(frame) as view:
            sent = 0
            while sent < len(view):
                sent += self._send_some(view[sent:])

    def discard(self) -> bool:
        """Drops what has arrived, without waiting; False once the peer has ended or broken the stream."""
        try:
            return bool(self._sock.recv(_CHUNK))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def end_sending(self) -> None:
        """Tells the peer that nothing more comes; it can still be heard."""
        self._shutdown(socket.SHUT_WR)

    def end_receiving(self) -> None:
        """Lets the receiver finish what has arrived and then see the end of the stream."""
        self._shutdown(socket.SHUT_RD)

    def abort(self) -> None:
        """Ends both directions at once, from any thread: whoever receives or sends is woken."""
        self._shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends the connection and frees the socket; harmless when repeated. For the receiving thread only:
        another's would free a descriptor that the receiver may be polling."""
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
        """What has arrived, b"" at the end of the stream, None when nothing came until then."""
        while True:
            try:
                return self._sock.recv(_CHUNK)
            except BlockingIOError:
                if not self._wait(selectors.EVENT_READ, until):
                    return None

    def _send_some(self, view: memoryview) -> int:
        until = _deadline(self._send_timeout)
        while True:
            try:
                return self._sock.send(view)
            except BlockingIOError:
                if not self._wait(selectors.EVENT_WRITE, until):
                    raise SendTimeout(f"the peer took nothing for {self._send_timeout} s") from None

    def _wait(self, event: int, until: float | None) -> bool:
        """Blocks until the socket is ready; False when that did not happen in time."""
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
            return  # already ended by the peer, or closed: what was wanted


def _deadline(seconds: float | None) -> float | None:
    return None if seconds is None else time.monotonic() + seconds
