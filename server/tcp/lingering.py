"""Lingering close: the peer reads our last answer before the connection ends.

Closing a socket while the peer's data still arrives resets the connection, and the reset may overtake the answer. So we
end our direction only, drop what still comes, and close when the peer closes or its time is up.
"""

from __future__ import annotations

import threading
import time

from facewire.protocol.stream import MessageStream

_LINGER_S = 2.0  # a client that has sent a photo meanwhile needs milliseconds; two seconds, a poor line
MOST_LINGERING = (
    256  # connections lingering at once, several times the default slots; over it one is closed straight away
)


class LingeringClose:
    """Closes connections in good time. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards both below
        self._lingering: dict[MessageStream, threading.Thread] = {}
        self._stopping = False

    def close(self, stream: MessageStream) -> None:
        """Closes it; waits for the peer, so this is for a connection's own thread, which holds no place any more."""
        self._begin(stream, threading.current_thread())

    def close_soon(self, stream: MessageStream) -> None:
        """Closes it in a thread of its own; returns at once. Raises RuntimeError where the system has none for us."""
        thread = threading.Thread(target=self._linger, args=(stream,), name="facewire-lingering", daemon=True)
        self._begin(stream, thread)

    def stop(self, until: float) -> bool:
        """Closes what still lingers, and waits for the threads' end, no longer than `until` (time.monotonic)."""
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
            room = len(self._lingering) < MOST_LINGERING and not self._stopping
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
