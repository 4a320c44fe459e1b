"""A child: one picture after the other, until the server hangs up. It holds no network, and no socket but the one.

What a picture may take in memory and processor time is set before it is opened, and again when its size is known. The
kernel holds the child to it; the server holds it to a time on the wall, and kills it.
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

from facewire.server.errors import InvalidImage
from facewire.server.vision.decoding.segments import mapped
from facewire.server.vision.decoding.wire import Ended, Message, receive, send
from facewire.server.vision.image import MEGAPIXEL, ImageLimits, Pixels

MEBIBYTE = 1024 * 1024

LOOKING_CPU_S = 2
"""Processor time for a header: ten thousand times what the slowest takes."""

CPU_S_PER_100_MEGAPIXELS = 40
"""Processor time for the pixels on top of that: twenty times a JPEG's, four times a HEIC's."""

WALL_TO_CPU = 8
"""Time on the wall that the server waits for so much processor time: children share the cores with the networks, and
the kernel is to end a child that works before the server ends one that only waits."""

_LIBC = ctypes.CDLL(None)
_M_PERTURB, _ZERO = -6, 255  # glibc's: memory is filled with the complement

SPARE_BYTES = 64 * MEBIBYTE
"""Memory that any picture may take besides what is reckoned for it."""


def serve(channel: socket.socket, reading: ModuleType) -> None:
    """Answers until the server hangs up; `reading` is `server.vision.decoding.reading`, or stands in for it."""
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
        """What became of one picture. `fds`: of its file, unless it is `inline`, and of room for its pixels; of more
        room if that is not enough."""
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
        except Exception as error:  # noqa: BLE001 - whatever a parser raises over a stranger's bytes, they are no picture
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
        """Has the server grant what a picture takes, if it is more than it did, and takes no more than twice that."""
        seconds = cpu_s(pixels)
        if result + memory > self._granted:
            send(self._channel, {"result": result, "memory": memory, "wall_s": WALL_TO_CPU * seconds})
            _, _, more = receive(self._channel)  # once the budget has room for it
            fds += more
            self._granted = result + memory
        self._allowed.now(cpu_s=seconds, memory=2 * (len(data) + memory + result))


def _part(shared: Pixels, shape: tuple[int, ...]) -> Pixels | None:
    """Its beginning, in that shape, where it is large enough."""
    length = math.prod(shape)
    return shared[:length].reshape(shape) if length <= len(shared) else None


def cpu_s(pixels: int) -> int:
    """Processor time that a picture of so many pixels may take."""
    return LOOKING_CPU_S + -(-pixels * CPU_S_PER_100_MEGAPIXELS // (100 * MEGAPIXEL))


def _read(fd: int, length: int) -> bytes:
    with mapped(fd, length) as shared:
        return shared[:]


def _clear_memory(wanted: bool) -> None:
    """Whether what is allocated comes cleared: where damaged data leave a part of a picture unwritten, nothing of an
    earlier one may show. It costs a third of a JPEG's decoding, whose decoder writes every pixel in any case."""
    _LIBC.mallopt(_M_PERTURB, _ZERO if wanted else 0)


class _Allowed:
    """What this process may take, beyond what it has taken already."""

    def __init__(self) -> None:
        self._data = _data_bytes()

    def now(self, *, cpu_s: int, memory: int) -> None:
        """So much processor time from now on, and so many bytes beyond what a fresh child has.

        RLIMIT_DATA counts what is allocated; RLIMIT_AS would count libraries and shared memory too.
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
