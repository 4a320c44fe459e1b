"""What a connection still has to send, and the thread that sends it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from facewire.protocol.stream import MessageStream, StreamTimeout
from facewire.server.tcp.lifetime import Lifetime


class Outbox:
    """Answers in order, and of each request the newest progress. `put` and `put_progress` never block."""

    def __init__(self, stream: MessageStream, life: Lifetime, slots: int, broken: Callable[[], None]) -> None:
        """`broken` is called when nothing can be sent any more."""
        self._stream = stream
        self._life = life
        self._broken = broken
        # Answers, numbers of requests that there is progress of, None to end. Slots bound it: a request has one answer
        # and is here once for its progress; one for the last word and one for the None besides.
        self._queue: queue.Queue[bytes | int | None] = queue.Queue(2 * slots + 2)
        self._lock = threading.Lock()  # guards _progress
        self._progress: dict[int, bytes] = {}  # by request, the newest that is not written yet
        self._thread = threading.Thread(target=self._write, daemon=True)

    def start(self) -> None:
        """Sends from now on."""
        self._thread.name = f"{threading.current_thread().name}-writer"
        self._thread.start()

    def close(self) -> None:
        """Sends what is left, and ends the thread."""
        self._queue.put_nowait(None)
        self._thread.join()

    def put(self, answer: bytes) -> None:
        """An answer, whose slot is freed when it has been written."""
        self._queue.put_nowait(answer)

    def put_progress(self, request_id: int, progress: bytes) -> None:
        """Written when there is time, unless something newer comes first."""
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

    def _take_progress(self, request_id: int) -> bytes:
        with self._lock:
            return self._progress.pop(request_id)
