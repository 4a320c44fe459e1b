"""Connections that were told their last answer and must go.

Closing a socket while the peer's data still arrives resets the connection, and the reset may overtake our answer.
So we end our direction only, drop what still comes, and close when the peer closes or its time is up. One thread
does it for all, so that neither the listener nor a session's slot waits for a client that takes its time.
"""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
import threading
import time

from facewire.protocol.stream import MessageStream

_LINGER_S = 2.0  # a client that has sent a photo meanwhile needs milliseconds; two seconds, a poor line
_MOST = 256  # connections lingering at once, several times the default slots; over it one is closed straight away


class Farewells:
    """Takes streams over and closes them in good time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the three below
        self._new: list[MessageStream] = []
        self._held = 0
        self._stop_at = math.inf
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        self._selector = selectors.DefaultSelector()  # this and the next belong to the thread
        self._leaving: dict[MessageStream, float] = {}
        self._thread = threading.Thread(target=self._run, name="facewire-farewells", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def take(self, stream: MessageStream) -> None:
        """Nothing more is sent on `stream`; it gets closed. Never blocks."""
        stream.end_sending()
        with self._lock:
            room = self._held < _MOST and self._stop_at == math.inf
            if room:
                self._held += 1
                self._new.append(stream)
        if room:
            self._wake_up()
        else:
            stream.close()

    def stop(self, until: float) -> bool:
        """Closes what is left, at the latest at `until` (time.monotonic), and ends the thread; has it ended?"""
        with self._lock:
            self._stop_at = until
        if self._thread.ident is None:  # never started
            self._free()
            return True
        self._wake_up()
        self._thread.join(max(0.0, until - time.monotonic()) + 0.5)  # half a second to close them all
        return not self._thread.is_alive()

    def _wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):  # full: it will wake; closed: it has ended
            self._waker.send(b"x")

    def _run(self) -> None:
        self._selector.register(self._wake, selectors.EVENT_READ)
        while True:
            stop_at = self._take_in()
            if stop_at < math.inf and not self._leaving:
                break
            self._hear_them_out(stop_at)
        self._free()

    def _free(self) -> None:
        for resource in (self._selector, self._wake, self._waker):
            resource.close()

    def _take_in(self) -> float:
        """Begins with what is new; gives the time by which all must be closed."""
        with self._lock:
            new, self._new = self._new, []
            stop_at = self._stop_at
        for stream in new:
            self._selector.register(stream, selectors.EVENT_READ)
            self._leaving[stream] = time.monotonic() + _LINGER_S
        return stop_at

    def _hear_them_out(self, stop_at: float) -> None:
        """Waits once for data, an end or a wake-up; closes who has ended, and whose time is up."""
        next_end = min(self._leaving.values(), default=math.inf)
        wait = min(next_end, stop_at) - time.monotonic()
        ended = []
        for key, _ in self._selector.select(None if wait == math.inf else max(0.0, wait)):
            if key.fileobj is self._wake:
                self._wake.recv(4096)
            elif isinstance(key.fileobj, MessageStream) and not key.fileobj.discard():
                ended.append(key.fileobj)
        now = time.monotonic()
        ended += [s for s, end in self._leaving.items() if min(end, stop_at) <= now and s not in ended]
        for stream in ended:
            self._close(stream)

    def _close(self, stream: MessageStream) -> None:
        self._selector.unregister(stream)
        del self._leaving[stream]
        stream.close()
        with self._lock:
            self._held -= 1
