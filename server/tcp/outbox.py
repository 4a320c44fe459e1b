"""A connection's send queue and the thread that drains it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from facewire.protocol.stream import MessageStream, StreamTimeout
from facewire.server.tcp.lifetime import Lifetime


class Outbox:
    """Queues answers in order, and only the newest progress of each request. `put` and `put_progress` never block."""

    def __init__(self, stream: MessageStream, life: Lifetime, slots: int, broken: Callable[[], None]) -> None:
        """`broken` is called when sending fails."""
        self._stream = stream
        self._life = life
        self._broken = broken
        # Holds answers, ids of requests with progress, and None to end. Bounded by the slots: each request has at most
        # one answer and one progress entry; plus one for the last answer and one for None.
        self._queue: queue.Queue[bytes | int | None] = queue.Queue(2 * slots + 2)
        self._lock = threading.Lock()  # guards _progress
        self._progress: dict[int, bytes] = {}  # by request id: the newest not written yet
        self._thread = threading.Thread(target=self._write, daemon=True)

    def start(self) -> None:
        """Starts sending."""
        self._thread.name = f"{threading.current_thread().name}-writer"
        self._thread.start()

    def close(self) -> None:
        """Sends the rest, then ends the thread."""
        self._queue.put_nowait(None)
        self._thread.join()

    def put(self, answer: bytes) -> None:
        """Queues an answer. Its slot is freed once it is written."""
        self._queue.put_nowait(answer)

    def put_progress(self, request_id: int, progress: bytes) -> None:
        """Queues progress, replacing any of the same request not written yet."""
        with self._lock:
            waiting = request_id in self._progress
            self._progress[request_id] = progress
        if not waiting:
            self._queue.put_nowait(request_id)

    def _write(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                if not self._life.lost:
                    self._stream.send(self._take_progress(item) if isinstance(item, int) else item)
            except (StreamTimeout, OSError):
                self._broken()
            if not isinstance(item, int):
                self._life.free_slot()
            del item  # before the wait for the next, which may be long

    def _take_progress(self, request_id: int) -> bytes:
        with self._lock:
            return self._progress.pop(request_id)
