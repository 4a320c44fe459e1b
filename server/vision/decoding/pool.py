"""The server's side of the child processes: a fork server makes them, a fixed number is kept warm, and callers wait a
bounded time for a free one."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from facewire.server.errors import Busy, StartError
from facewire.server.vision.decoding.wire import Ended, channel, receive, send

READING = "facewire.server.vision.decoding.reading"

_ROOT = Path(__file__).resolve().parents[3]
_PATIENCE_S = 60.0  # for loading libraries on a busy machine; usually a sixth of a second

# Blocks up to the size of a 12-megapixel photo at half scale are reused: fresh pages would cost 3 ms. Larger ones are
# returned at once. The cache of small blocks is off, as those would not be zeroed (see `forkserver._clear_memory`).
_ALLOCATOR = "glibc.malloc.mmap_threshold=16777216:glibc.malloc.trim_threshold=33554432:glibc.malloc.tcache_count=0"


@dataclass(frozen=True, slots=True, eq=False)
class Child:
    """A decoding process; for one thread at a time."""

    pid: int
    pidfd: int
    channel: socket.socket

    def is_alive(self) -> bool:
        """Only between pictures: if the channel is readable then, the child has ended."""
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        return not poll.poll(0)

    def kill(self) -> None:
        """Kills the process, whatever it is doing."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        self.channel.close()
        os.close(self.pidfd)


class Children:
    """Creates child processes. Thread-safe. Restarts the fork server if it has ended."""

    def __init__(self, reading: str = READING) -> None:
        """Starts the fork server without waiting for it. If that fails, `fork` tries again, and reports it."""
        self._reading = reading
        self._talking = threading.Lock()  # guards everything below: one request at a time
        self._closed = self._running = False
        with contextlib.suppress(StartError):
            self._start()

    @property
    def pid(self) -> int:
        """The fork server's process id."""
        return self._process.pid

    def fork(self) -> Child:
        """A new child. Raises StartError if no process can be started, Ended once closed."""
        with self._talking:
            if self._closed:
                raise Ended
            if not self._running:
                self._start()
            try:
                return self._forked()
            except (Ended, OSError):  # somebody killed the fork server
                self._end()
            self._start()
            try:
                return self._forked()
            except (Ended, OSError) as error:
                raise self._end() from error

    def close(self) -> None:
        """Ends the fork server and all its children."""
        with self._talking:
            self._closed = True
            if self._running:
                self._end()

    def _start(self) -> None:
        """Raises StartError."""
        with contextlib.ExitStack() as on_failure:
            try:
                ours, theirs = channel()
                on_failure.enter_context(ours)
                with theirs:
                    self._process = subprocess.Popen(
                        [sys.executable, "-m", f"{__package__}.forkserver", str(theirs.fileno()), self._reading],
                        cwd=_ROOT, env=_environment(os.environ), pass_fds=[theirs.fileno()],
                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                    )  # fmt: skip
            except OSError as error:
                raise StartError(f"pictures can't be decoded: no process can be started ({error})") from error
            on_failure.pop_all()
        ours.settimeout(_PATIENCE_S)
        self._control = ours
        self._running, self._ready = True, False

    def _forked(self) -> Child:
        if not self._ready:
            receive(self._control)
            self._ready = True
        ours, theirs = channel()
        try:
            with theirs:
                send(self._control, {}, fds=[theirs.fileno()])
            answer, _, (pidfd,) = receive(self._control)
        except (Ended, OSError):
            ours.close()
            raise
        return Child(answer["pid"], pidfd, ours)

    def _end(self) -> StartError:
        """Ends the fork server; returns an error with the last line of its stderr."""
        self._running = False
        self._control.close()  # tells it to exit
        if not self._ready:
            self._process.kill()  # it is still loading its libraries, and has no children
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stderr is not None
        with self._process.stderr as stderr:
            os.set_blocking(stderr.fileno(), False)
            said = (stderr.read() or b"").decode(errors="replace").strip().splitlines()
        return StartError(f"pictures can't be decoded: {said[-1] if said else 'the process for it was ended'}")


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What a process needs to load libraries, without the server's secrets."""
    theirs = {name: value for name, value in ours.items() if not name.startswith("FACEWIRE_")}
    tunables = [*theirs.get("GLIBC_TUNABLES", "").split(":"), _ALLOCATOR]
    return theirs | {"GLIBC_TUNABLES": ":".join(filter(None, tunables)), "OPENCV_LOG_LEVEL": "SILENT"}


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
    def child(self, patience_s: float, *, once: bool = False) -> Iterator[Child]:
        """A living child for one file. If the block raises, the child is killed, as it may still be working; with
        `once`, in any case.

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
            self._keep(child, wanted=not once)
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify()

    def close(self) -> None:
        """Ends idle children; busy ones end with the fork server."""
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

    def _keep(self, child: Child, *, wanted: bool) -> None:
        with self._changed:
            if wanted and not self._closed:
                self._idle.append(child)
                return
        child.kill()


def _stopping() -> Busy:
    return Busy("the server is stopping", retry_after_ms=1000)
