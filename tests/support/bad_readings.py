"""`server.vision.decoding.reading` with faults of its own, on pictures that ask for one.

What stands behind `PLEASE` at the end of a file says what happens when its pixels are decoded; `header` before it, when
its header is read. Every other picture is read as ever. `tests.support.bad_readings` is loaded by children, not here.
"""

from __future__ import annotations

import os
import signal
import time

from server.vision.decoding import reading
from server.vision.decoding.reading import Plan
from server.vision.image import Header, ImageLimits, Photo

PLEASE = b"please "


def asking(data: bytes, what: str) -> bytes:
    """A picture that makes its child do `what`: abort, crash, loop, sleep, eat, raise, or wait for a kill."""
    return data + PLEASE + what.encode()


def warm_up() -> None:
    reading.warm_up()


def look(data: bytes, limits: ImageLimits) -> Header:
    _misbehave(data, header=True)
    return reading.look(data, limits)


def plan(data: bytes, limits: ImageLimits, enough: int | None) -> Plan:
    _misbehave(data, header=True)
    made = reading.plan(data, limits, enough)
    return Plan(data, made.pixels, made.result, made.memory, made.cleared)


def decode(plan: Plan, limits: ImageLimits, enough: int | None) -> Photo:
    _misbehave(plan.data, header=False)
    return reading.decode(plan, limits, enough)


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
