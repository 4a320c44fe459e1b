"""The process that forks the children: `python -m facewire.server.vision.decoding.nursery FD READING`.

It has every library loaded and reads no pictures, so a child costs a few milliseconds, little memory of its own, and
inherits nothing of an earlier picture. It is single-threaded, so it can fork safely; the server is not.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from types import ModuleType

import cv2

from facewire.server.vision.decoding import child
from facewire.server.vision.decoding.wire import Ended, receive, send

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_FIRST_TO_GO = 800  # of 1000


def main() -> None:
    """Forks on request until the server hangs up or dies, then kills the children."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # Ctrl-C reaches every process; the server ends us
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=int(sys.argv[1]))
    reading = importlib.import_module(sys.argv[2])
    cv2.setNumThreads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _go_first()
    libc = ctypes.CDLL(None)
    children: set[int] = set()
    try:
        send(control, {"ready": True})
        while True:
            _, _, (fd,) = receive(control)
            _reap(children, os.WNOHANG)
            pid = os.fork()
            if not pid:
                try:
                    control.close()
                    _be_a_child(fd, reading, libc)
                finally:
                    os._exit(0)
            children.add(pid)
            os.close(fd)
            pidfd = os.pidfd_open(pid)  # not reaped yet, so the id is still this child's
            send(control, {"pid": pid}, fds=[pidfd])
            os.close(pidfd)
    except Ended:
        for pid in children:  # none is reaped yet, so no id has been reused
            os.kill(pid, signal.SIGKILL)
        _reap(children, 0)


def _be_a_child(fd: int, reading: ModuleType, libc: ctypes.CDLL) -> None:
    nursery = os.getppid()
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # no untrusted picture in a core file
    if os.getppid() != nursery:
        return  # the nursery died in between
    # Decoders' messages about damaged pictures don't belong in the server's log.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    with socket.socket(fileno=fd) as channel:
        child.serve(channel, reading)


def _go_first() -> None:
    """Makes the kernel kill a child rather than the server when memory runs out."""
    score = Path("/proc/self/oom_score_adj")
    if int(score.read_text(encoding="ascii")) < _FIRST_TO_GO:  # lowering it needs privileges
        score.write_text(str(_FIRST_TO_GO), encoding="ascii")


def _reap(children: set[int], options: int) -> None:
    """Reaps ended children; without WNOHANG, waits for all of them."""
    while children:
        pid, _ = os.waitpid(-1, options)
        if not pid:
            return
        children.discard(pid)


if __name__ == "__main__":
    main()
