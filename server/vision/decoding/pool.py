"""A fixed number of warm children; callers wait a bounded time for a free one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from facewire.server.errors import Busy
from facewire.server.vision.decoding.children import Child, Children
from facewire.server.vision.decoding.wire import Ended

_RETRY_AFTER_MS = 500  # the duration of a large photo


class Pool:
    """Thread-safe. Children that have ended, for whatever reason, are replaced when needed."""

    def __init__(self, size: int, children: Children) -> None:
        self._size = size
        self._children = children
        self._changed = threading.Condition()  # guards the three below; notified when a child is returned, and on close
        self._idle: list[Child] = []
        self._taken = 0
        self._closed = False

    def fill(self) -> None:
        """Forks all children. Raises StartError."""
        for _ in range(self._size):
            child = self._children.fork()
            with self._changed:
                self._idle.append(child)

    @property
    def pids(self) -> list[int]:
        """Process ids of idle children."""
        with self._changed:
            return [child.pid for child in self._idle]

    @contextlib.contextmanager
    def child(self, patience_s: float) -> Iterator[Child]:
        """A living child for one picture. If the block raises, the child is killed, as it may still be working.

        Raises Busy if none becomes free in time, or the pool is closed; StartError if none can be started.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or self._taken < self._size, patience_s):
                raise Busy("too many pictures are waiting to be decoded", retry_after_ms=_RETRY_AFTER_MS)
            if self._closed:
                raise _stopping()
            self._taken += 1
            child = self._idle.pop() if self._idle else None
        try:
            child = self._living(child)
            try:
                yield child
            except BaseException:
                child.kill()
                raise
            self._keep(child)
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify()

    def close(self) -> None:
        """Ends idle children; busy ones end with the nursery."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        for child in idle:
            child.kill()

    def _living(self, child: Child | None) -> Child:
        if child is not None:
            if child.is_alive():
                return child
            child.kill()
        try:
            return self._children.fork()
        except Ended as error:
            raise _stopping() from error

    def _keep(self, child: Child) -> None:
        with self._changed:
            if not self._closed:
                self._idle.append(child)
                return
        child.kill()


def _stopping() -> Busy:
    return Busy("the server is stopping", retry_after_ms=1000)
