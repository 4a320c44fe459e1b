"""`server.vision.decoding.reading` with faults, triggered by markers in pictures.

The word after `PLEASE` at the end of a file says what happens when its pixels are decoded; with `header` in front, when
its header is read. All other pictures are read normally. Child processes load this module; the tests don't.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import numpy as np

from facewire.server.vision.decoding import reading
from facewire.server.vision.decoding.reading import Plan
from facewire.server.vision.image import Header, ImageLimits, Photo, Room

PLEASE = b"please "


def asking(data: bytes, what: str) -> bytes:
    """A picture that makes its child `what`: abort, crash, loop, sleep, eat, raise, pause, or leave its pixels."""
    return data + PLEASE + what.encode()


def look(data: bytes, limits: ImageLimits) -> Header:
    _misbehave(data, header=True)
    return reading.look(data, limits)


def before_looking(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    return reading.before_looking(data, limits)


def plan(data: bytes, limits: ImageLimits, enough: int | None) -> Plan:
    _misbehave(data, header=True)
    made = reading.plan(data, limits, enough)
    return replace(made, data=data) if PLEASE in data else made  # the marker is no part of the picture


def decode(plan: Plan, limits: ImageLimits, enough: int | None, into: Room) -> Photo:
    _misbehave(plan.data, header=False)
    photo = reading.decode(plan, limits, enough, into)
    if plan.data.endswith(PLEASE + b"leave"):
        height, width = photo.height, photo.width
        del photo
        return Photo(np.empty((height, width, 3), np.uint8), 1, width, height)
    return photo


def _misbehave(data: bytes, *, header: bool) -> None:
    _, found, wish = data.rpartition(PLEASE)
    early = wish.startswith(b"header ")
    if not found or early is not header:
        return
    match wish.removeprefix(b"header ").split()[0]:
        case b"abort":
            os.abort()
        case b"crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"loop":
            while True:
                pass
        case b"sleep":
            time.sleep(3600)
        case b"eat":
            eaten = []
            while True:
                eaten.append(bytearray(16 * 1024 * 1024))
        case b"raise":
            raise ZeroDivisionError("a parser's bug")
        case b"pause":
            time.sleep(1.0)
