"""The process that children are forked from: `python -m server.vision.decoding.nursery FD READING`.

It has every library loaded and looks at no picture, so a child costs some milliseconds and little memory of its own,
and nothing of a picture that came before. It has one thread, and so may fork; the server has many, and may not.
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
    """Forks until the server hangs up, or dies: then the children are killed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # Ctrl-C reaches all, and the server ends us in time
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
            pidfd = os.pidfd_open(pid)  # not yet reaped, so it is this one
            send(control, {"pid": pid}, fds=[pidfd])
            os.close(pidfd)
    except Ended:
        for pid in children:  # none of them is reaped, so each is still itself
            os.kill(pid, signal.SIGKILL)
        _reap(children, 0)


def _be_a_child(fd: int, reading: ModuleType, libc: ctypes.CDLL) -> None:
    nursery = os.getppid()
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # no stranger's picture in a core file
    if os.getppid() != nursery:
        return  # it died in between
    # What decoders write about damaged pictures is no part of the server's log.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    with socket.socket(fileno=fd) as channel:
        child.serve(channel, reading)


def _go_first() -> None:
    """Where memory runs out, the kernel ends a child and not the server."""
    score = Path("/proc/self/oom_score_adj")
    if int(score.read_text(encoding="ascii")) < _FIRST_TO_GO:  # to lower it is not ours
        score.write_text(str(_FIRST_TO_GO), encoding="ascii")


def _reap(children: set[int], options: int) -> None:
    """Takes leave of those that have ended, or, without WNOHANG, waits for the end of all."""
    while children:
        pid, _ = os.waitpid(-1, options)
        if not pid:
            return
        children.discard(pid)


if __name__ == "__main__":
    main()
