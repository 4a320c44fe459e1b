"""The fork server and its children: `python -m facewire.server.vision.decoding.forkserver FD READING`.

The fork server has every library loaded and reads no pictures, so a child costs a few milliseconds, little memory of
its own, and inherits nothing of an earlier picture. It is single-threaded, so it can fork safely; the server is not.

A child decodes one picture after another until the server hangs up. It has no networks, and only one socket. Limits on
memory and processor time are set before a picture is opened, and again once its size is known. The kernel enforces
them; the server enforces a wall-clock limit by killing the child."""

from __future__ import annotations

import ctypes
import importlib
import io
import math
import os
import resource
import select
import signal
import socket
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, cast

import cv2
import numpy as np

from facewire.protocol.settings import MEBIBYTE
from facewire.server.errors import InvalidImage
from facewire.server.heap import trim
from facewire.server.vision.decoding.memory import mapped
from facewire.server.vision.decoding.on_disk import Reader
from facewire.server.vision.decoding.showing import show
from facewire.server.vision.decoding.wire import Ended, Message, receive, send
from facewire.server.vision.image import MEGAPIXEL, ImageLimits, Pixels

_LIBC = ctypes.CDLL(None)
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
                    _be_a_child(fd, reading)
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


def _be_a_child(fd: int, reading: ModuleType) -> None:
    forkserver = os.getppid()
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # no untrusted picture in a core file
    if os.getppid() != forkserver:
        return  # the fork server died in between
    # Decoders' messages about damaged pictures don't belong in the server's log.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    with socket.socket(fileno=fd) as channel:
        serve(channel, reading)


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


LOOKING_CPU_S = 2
"""Processor time in seconds for a header: ten thousand times what the slowest takes."""

CPU_S_PER_100_MEGAPIXELS = 40
"""Additional processor time in seconds for the pixels: twenty times a JPEG's, four times a HEIC's."""

_M_PERTURB, _ZERO = -6, 255  # of glibc: fills memory with the complement

SPARE_BYTES = 64 * MEBIBYTE
"""Memory that any picture may take in addition to its estimate."""


IDLE_S = 1.0
"""After so long without a picture, a child gives back the memory of those before: 3 to 12 ms of the next one's time,
which a child that decodes one picture after the other never pays."""


def serve(channel: socket.socket, reading: ModuleType) -> None:
    """Answers requests until the server hangs up; `reading` is `server.vision.decoding.reading`, or a test double."""
    child = _Child(channel, reading)
    while True:
        try:
            _wait(channel)
            message, inline, fds = receive(channel)
            try:
                answer = child.answer(message, inline, fds)
            finally:
                for fd in fds:
                    os.close(fd)
            send(channel, answer)
        except Ended:
            return


def _wait(channel: socket.socket) -> None:
    """Until something can be read, if that is soon; else gives memory back."""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    if not poll.poll(1000 * IDLE_S):
        trim()


class _Child:
    def __init__(self, channel: socket.socket, reading: ModuleType) -> None:
        self._channel = channel
        self._reading = reading
        self._allowed = _Allowed()
        self._granted = 0

    def answer(self, message: Message, inline: bytes, fds: list[int]) -> Message:
        """The answer for one picture. `fds`: its file, unless it is `inline`, and memory for its pixels; more memory is
        appended if that is not enough."""
        try:
            self._granted = message["room"]
            if message["op"] == "video":
                file = io.BytesIO(inline) if message["inline"] else Reader(fds[0], message["length"])
                return self._show(message, cast(BinaryIO, file), fds[-1])
            self._allowed.now(cpu_s=LOOKING_CPU_S, memory=2 * message["length"])
            data = inline if message["inline"] else _read(fds[0], message["length"])
            limits = ImageLimits(message["max_bytes"], message["max_pixels"])
            memory, pixels = self._reading.before_looking(data, limits)
            if message["op"] == "look":
                self._ask_for(0, memory, pixels, data, fds)
                header = self._reading.look(data, limits)
                size = {"width": header.width, "height": header.height}
                return {"format": header.format, **size, "recorded": header.recorded, "taken": header.taken}
            self._ask_for(3 * pixels, memory, pixels, data, fds)
            return self._decode(data, limits, message["enough"], fds)
        except Ended:
            raise
        except InvalidImage as error:
            return {"invalid": str(error)}
        except MemoryError:
            return {"hostile": "memory"}
        except cv2.error as error:
            return {"hostile": "memory"} if error.code == cv2.Error.StsNoMem else {"odd": repr(error)}
        except Exception as error:  # noqa: BLE001 - whatever a parser raises for untrusted bytes, the picture is invalid
            return {"odd": repr(error)[:200]}

    def _show(self, message: Message, file: BinaryIO, room: int) -> Message:
        return show(self._channel, message, file, room, lambda cpu, more: self._allowed.now(cpu_s=cpu, memory=more))

    def _decode(self, data: bytes, limits: ImageLimits, enough: int | None, fds: list[int]) -> Message:
        plan = self._reading.plan(data, limits, enough)
        self._ask_for(plan.result, plan.memory, plan.pixels, data, fds)
        _clear_memory(plan.cleared)
        shared = np.frombuffer(mapped(fds[-1], plan.result), np.uint8)
        photo = self._reading.decode(plan, limits, enough, lambda shape: _part(shared, shape))
        place = _part(shared, photo.pixels.shape)
        if place is None:
            raise InvalidImage("the picture is damaged: it is larger than it claims")
        if not np.may_share_memory(place, photo.pixels):
            place[...] = photo.pixels
        rows, columns = photo.pixels.shape[:2]
        return {"rows": rows, "columns": columns, "factor": photo.factor, "width": photo.width, "height": photo.height}

    def _ask_for(self, result: int, memory: int, pixels: int, data: bytes, fds: list[int]) -> None:
        """Requests memory from the server if the picture needs more than was granted, and limits this process to twice
        its needs."""
        seconds = cpu_s(pixels)
        if result + memory > self._granted:
            send(self._channel, {"result": result, "memory": memory, "cpu_s": seconds})
            _, _, more = receive(self._channel)  # waits until the budget allows it
            fds += more
            self._granted = result + memory
        self._allowed.now(cpu_s=seconds, memory=2 * (len(data) + memory + result))


def _part(shared: Pixels, shape: tuple[int, ...]) -> Pixels | None:
    """The first bytes of `shared`, in that shape; None if it is too small."""
    length = math.prod(shape)
    return shared[:length].reshape(shape) if length <= len(shared) else None


def cpu_s(pixels: int) -> int:
    """Processor time in seconds that a picture with this many pixels may take."""
    return LOOKING_CPU_S + -(-pixels * CPU_S_PER_100_MEGAPIXELS // (100 * MEGAPIXEL))


def _read(fd: int, length: int) -> bytes:
    with mapped(fd, length) as shared:
        return shared[:]


def _clear_memory(wanted: bool) -> None:
    """Whether allocations are zeroed: if damaged data leave part of a picture unwritten, nothing of an earlier one may
    show. Zeroing costs a third of a JPEG's decoding time, and a JPEG decoder always writes every pixel."""
    _LIBC.mallopt(_M_PERTURB, _ZERO if wanted else 0)


class _Allowed:
    """Limits this process's resources, relative to what it has used already."""

    def __init__(self) -> None:
        self._data = _data_bytes()

    def now(self, *, cpu_s: int, memory: int) -> None:
        """Allow `cpu_s` of processor time from now on, and `memory` bytes more than a fresh child has.

        RLIMIT_DATA counts allocations; RLIMIT_AS would include libraries and shared memory.
        """
        self._set(resource.RLIMIT_CPU, int(time.process_time()) + 1 + cpu_s)
        self._set(resource.RLIMIT_DATA, self._data + SPARE_BYTES + memory)

    def _set(self, which: int, soft: int) -> None:
        _, hard = resource.getrlimit(which)
        resource.setrlimit(which, (soft, hard))


def _data_bytes() -> int:
    with Path("/proc/self/status").open(encoding="ascii") as status:
        fields: dict[str, Any] = dict(line.split(":", 1) for line in status)
    return int(fields["VmData"].split()[0]) * 1024


if __name__ == "__main__":
    main()
