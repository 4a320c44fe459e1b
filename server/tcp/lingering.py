"""Lingering close: lets the peer read our last answer before the connection ends.

Closing a socket while the peer is still sending resets the connection, and the reset may overtake the answer. So we
shut down our direction only, discard what arrives, and close when the peer closes or the time is up.
"""

from __future__ import annotations

import threading
import time

from facewire.protocol.stream import MessageStream

_LINGER_S = 2.0  # a client in the middle of sending a photo needs milliseconds; two seconds on a poor line


class LingeringClose:
    """Closes connections after letting them linger. Thread-safe."""

    def __init__(self, most: int) -> None:
        """`most`: that linger at once; beyond that they are closed at once."""
        self._most = most
        self._lock = threading.Lock()  # guards both below
        self._lingering: dict[MessageStream, threading.Thread] = {}
        self._stopping = False

    def close(self, stream: MessageStream) -> None:
        """Closes it. Waits for the peer, so call this from the connection's own thread, after it gave up its place."""
        self._begin(stream, threading.current_thread())

    def close_soon(self, stream: MessageStream) -> None:
        """Closes it in a new thread; returns at once. Raises RuntimeError if the system can't start one."""
        thread = threading.Thread(target=self._linger, args=(stream,), name="facewire-lingering", daemon=True)
        self._begin(stream, thread)

    def stop(self, until: float) -> bool:
        """Closes all lingering connections. Waits until `until` (time.monotonic) at most; have all threads ended?"""
        with self._lock:
            self._stopping = True
            lingering = dict(self._lingering)
        for stream in lingering:
            stream.abort()
        for thread in lingering.values():
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in lingering.values())

    def _begin(self, stream: MessageStream, thread: threading.Thread) -> None:
        own = thread is threading.current_thread()
        with self._lock:
            room = len(self._lingering) < self._most and not self._stopping
            if room and not own:
                thread.start()
            if room:
                self._lingering[stream] = thread
        if not room:
            stream.end_sending()
            stream.close()
        elif own:
            self._linger(stream)

    def _linger(self, stream: MessageStream) -> None:
        stream.end_sending()
        stream.drain(time.monotonic() + _LINGER_S)
        with self._lock:
            del self._lingering[stream]
        stream.close()
