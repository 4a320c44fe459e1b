"""Requests whose answer comes later: nobody waits in a thread for them, and they are told of progress meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from facewire.protocol.codec import encode_answer
from facewire.protocol.messages import Progress, Request, Result


class Channel(Protocol):
    """A connection, as one long request sees it. Never blocks, never raises."""

    def progress(self, payload: bytes) -> None:
        """The newest news; older ones that were not sent yet may be left out."""
        ...

    def answer(self, payload: bytes | None) -> None:
        """The one answer; None when there is none after all."""
        ...


class Follow:
    """One request that follows long work: its progress, and one answer, whoever comes first with it. Thread-safe."""

    def __init__(
        self,
        request: Request,
        gone: Callable[[], bool],
        channel: Channel,
        answered: Callable[[Request, Result, float], bytes],
        failed: Callable[[Request, Exception], bytes],
    ) -> None:
        """`answered` and `failed` encode, and log."""
        self.gone = gone
        self._request = request
        self._channel = channel
        self._answered = answered
        self._failed = failed
        self._started = time.monotonic()
        self._open = True
        self._lock = threading.Lock()  # guards _open: after the answer there is no progress, and no other answer
        self.on_end: Callable[[], None] = lambda: None

    def progress(self, done: int, total: int, details: Mapping[str, object]) -> None:
        """So far it is."""
        with self._lock:
            if self._open:
                self._channel.progress(encode_answer(Progress(self._request.id, done, total, details)))

    def finished(self, result: Result) -> None:
        """It is done."""
        self._end(lambda: self._answered(self._request, result, self._started))

    def failed(self, error: Exception) -> None:
        """It can't be done."""
        self._end(lambda: self._failed(self._request, error))

    def _end(self, payload: Callable[[], bytes]) -> None:
        with self._lock:
            if not self._open:
                return
            self._open = False
            self._channel.answer(payload())
        self.on_end()


class OpenFollows:
    """Every request that follows something, so that a server that stops leaves none without an answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards both below
        self._open: set[Follow] = set()
        self._over: Exception | None = None

    def add(self, follow: Follow) -> bool:
        """From now on; False, and the follow has its answer, where `end` came first."""
        follow.on_end = lambda: self._discard(follow)
        with self._lock:
            over = self._over
            if over is None:
                self._open.add(follow)
        if over is not None:
            follow.failed(over)
        return over is None

    def end(self, error: Exception) -> None:
        """All of them fail with `error`, and so do those still to come."""
        with self._lock:
            self._over = error
            follows = list(self._open)
        for follow in follows:
            follow.failed(error)

    def _discard(self, follow: Follow) -> None:
        with self._lock:
            self._open.discard(follow)
