"""The server's side of the child processes: starts the nursery, requests forks from it, and ends children."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from facewire.server.errors import StartError
from facewire.server.vision.decoding.wire import Ended, channel, receive, send

READING = "facewire.server.vision.decoding.reading"

_ROOT = Path(__file__).resolve().parents[3]
_PATIENCE_S = 60.0  # for loading libraries on a busy machine; usually a sixth of a second

# Blocks up to the size of a 12-megapixel photo at half scale are reused: fresh pages would cost 3 ms. Larger ones are
# returned at once. The cache of small blocks is off, as those would not be zeroed (see `child._clear_memory`).
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
    """Creates child processes. Thread-safe. Restarts the nursery if it has ended."""

    def __init__(self, reading: str = READING) -> None:
        """Starts the nursery without waiting for it."""
        self._reading = reading
        self._talking = threading.Lock()  # guards everything below: one request at a time
        self._closed = False
        self._start()

    @property
    def pid(self) -> int:
        """The nursery's process id."""
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
            except (Ended, OSError):  # somebody killed the nursery
                self._end()
            self._start()
            try:
                return self._forked()
            except (Ended, OSError) as error:
                raise self._end() from error

    def close(self) -> None:
        """Ends the nursery and all its children."""
        with self._talking:
            self._closed = True
            if self._running:
                self._end()

    def _start(self) -> None:
        ours, theirs = channel()
        ours.settimeout(_PATIENCE_S)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "facewire.server.vision.decoding.nursery", str(theirs.fileno()), self._reading],
                cwd=_ROOT, env=_environment(os.environ), pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
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
        """Ends the nursery; returns an error with the last line of its stderr."""
        self._running = False
        self._control.close()  # tells it to exit
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
