"""A child process: decodes one picture after another until the server hangs up. It has no networks, and only one
socket.

Limits on memory and processor time are set before a picture is opened, and again once its size is known. The kernel
enforces them; the server enforces a wall-clock limit by killing the child.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import socket
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from facewire.protocol.settings import MEBIBYTE
from facewire.server.errors import InvalidImage
from facewire.server.vision.decoding.segments import mapped
from facewire.server.vision.decoding.wire import Ended, Message, receive, send
from facewire.server.vision.image import MEGAPIXEL, ImageLimits, Pixels

LOOKING_CPU_S = 2
"""Processor time in seconds for a header: ten thousand times what the slowest takes."""

CPU_S_PER_100_MEGAPIXELS = 40
"""Additional processor time in seconds for the pixels: twenty times a JPEG's, four times a HEIC's."""

WALL_TO_CPU = 8
"""Wall-clock time the server allows per unit of processor time: children share the cores with the networks, and the
kernel should end a busy child before the server ends one that is only waiting."""

_LIBC = ctypes.CDLL(None)
_M_PERTURB, _ZERO = -6, 255  # of glibc: fills memory with the complement

SPARE_BYTES = 64 * MEBIBYTE
"""Memory that any picture may take in addition to its estimate."""


def serve(channel: socket.socket, reading: ModuleType) -> None:
    """Answers requests until the server hangs up; `reading` is `server.vision.decoding.reading`, or a test double."""
    child = _Child(channel, reading)
    while True:
        try:
            message, inline, fds = receive(channel)
            try:
                answer = child.answer(message, inline, fds)
            finally:
                for fd in fds:
                    os.close(fd)
            send(channel, answer)
        except Ended:
            return


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
            self._allowed.now(cpu_s=LOOKING_CPU_S, memory=2 * message["length"])
            data = inline if message["inline"] else _read(fds[0], message["length"])
            limits = ImageLimits(message["max_bytes"], message["max_pixels"])
            memory, pixels = self._reading.before_looking(data, limits)
            if message["op"] == "look":
                self._ask_for(0, memory, pixels, data, fds)
                header = self._reading.look(data, limits)
                return {"format": header.format, "width": header.width, "height": header.height}
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
            send(self._channel, {"result": result, "memory": memory, "wall_s": WALL_TO_CPU * seconds})
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
