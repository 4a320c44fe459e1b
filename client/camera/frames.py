"""A camera's newest frames, from a child process that is killed when it hangs and started again when it ends."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import BinaryIO

from facewire.client.camera.pipe import HEADER, LARGEST, WANTED, Kind, Order
from facewire.client.camera.source import Source

_START_S = 30.0  # for an interpreter and its libraries, on a machine that does much else
_GRACE_S = 3.0  # beyond the reader's own time limits: then it hangs in a library
_KILLED_WITHIN_S = 5.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 30.0
_CHUNK = 2**16


@dataclass(frozen=True, slots=True)
class Frame:
    """`jpeg`: the picture; `at`: seconds, of the file or of this machine's monotonic clock; `time`: seconds since 1970
    when it was read."""

    jpeg: bytes
    at: float
    time: float


@dataclass(frozen=True, slots=True)
class Opened:
    """The camera can be read, again or for the first time."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The camera can't be read; it is tried again in `again_s` seconds."""

    why: str
    again_s: float


@dataclass(frozen=True, slots=True)
class Over:
    """There are no more frames: the file has ended, or (`wrong`) this was nothing that can be watched."""

    wrong: str = ""


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """`width`: of the widest frame, in pixels; `step_s`: seconds between the frames of a file; `silence_s`: how long a
    stream may be silent before it counts as lost."""

    width: int = 1280
    step_s: float = 0.2
    silence_s: float = 10.0


class Camera:
    """One source. `next` never waits longer than it is told to; nothing is held but the frame that is on its way."""

    def __init__(self, source: Source, settings: CameraSettings) -> None:
        self._source = source
        self._settings = settings
        self._child: _Child | None = None
        self._worked = False  # has it ever?
        self._wait_s = _FIRST_WAIT_S
        self._again_at = 0.0  # monotonic
        self._deadline = 0.0  # of the child, monotonic

    def next(self, wait_s: float) -> Frame | Opened | Lost | Over | None:
        """The next thing that happens within `wait_s` seconds; None if nothing does."""
        until = time.monotonic() + wait_s
        if self._child is None:
            pause = min(self._again_at, until) - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            if time.monotonic() < self._again_at:
                return None
            self._start()
        assert self._child is not None
        try:
            record = self._child.record(min(until, self._deadline))
        except _ChildEnded as error:
            return self._lost(str(error))
        if record is None:
            if time.monotonic() < self._deadline:
                return None
            return self._lost(f"no picture for {self._settings.silence_s:g} s")
        return self._happened(*record)

    def close(self) -> None:
        """Ends the child."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _start(self) -> None:
        settings = self._settings
        source = self._source
        silence = settings.silence_s
        order = Order(source.kind, source.where, settings.width, settings.step_s, silence, silence)
        self._child = _Child(order)
        self._give_time(_START_S)

    def _give_time(self, more_s: float = 0.0) -> None:
        self._deadline = time.monotonic() + self._settings.silence_s + _GRACE_S + more_s

    def _happened(self, kind: Kind, at: float, body: bytes) -> Frame | Opened | Lost | Over | None:
        if kind is Kind.FRAME:
            self._wait_s = _FIRST_WAIT_S
            self._give_time()
            return Frame(body, at, time.time())
        if kind is Kind.OPENED:
            self._worked = True
            self._give_time()
            return Opened()
        if kind is Kind.ENDED:
            self.close()
            return Over()
        why = body.decode(errors="replace")
        if kind is Kind.WRONG and not self._worked:
            self.close()
            return Over(why)
        return self._lost(why)  # one that has worked may answer nonsense while it starts again

    def _lost(self, why: str) -> Lost | Over:
        self.close()
        if not self._source.live:
            return Over(why)
        wait = self._wait_s
        self._wait_s = min(2 * wait, _LONGEST_WAIT_S)
        self._again_at = time.monotonic() + wait
        return Lost(why, wait)


class _ChildEnded(Exception):
    """The reader has ended without a word; the message says how."""


class _Child:
    """A reading process, which is asked for one frame at a time."""

    def __init__(self, order: Order) -> None:
        errors, its_errors = os.pipe()
        os.set_blocking(its_errors, False)  # what nobody reads is dropped, rather than stop it
        self._errors = open(errors, "rb", buffering=0)  # noqa: SIM115, PTH123 - closed by `end`
        command = [sys.executable, "-P", "-m", f"{__package__}.reading"]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=its_errors, bufsize=0,
                env=os.environ | {"OPENCV_LOG_LEVEL": "SILENT"}, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(its_errors)
        self._received = bytearray()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ)
        self._asked = False
        self._write(order.line())

    @property
    def _output(self) -> BinaryIO:
        assert self._process.stdout is not None
        return self._process.stdout  # type: ignore[return-value]

    def record(self, until: float) -> tuple[Kind, float, bytes] | None:
        """The next record; None if it has not come by then (monotonic). Raises _ChildEnded."""
        if not self._asked:  # only now, so that what comes is the newest
            self._asked = True
            self._write(WANTED)
        while (record := self._complete()) is None:
            if not self._selector.select(max(0.0, until - time.monotonic())):
                return None
            data = os.read(self._output.fileno(), _CHUNK)
            if not data:
                raise _ChildEnded(self._epitaph())
            self._received += data
        if record[0] is Kind.FRAME:
            self._asked = False
        return record

    def _complete(self) -> tuple[Kind, float, bytes] | None:
        if len(self._received) < HEADER.size:
            return None
        kind, at, length = HEADER.unpack_from(self._received)
        if length > LARGEST:
            raise _ChildEnded("the reader sent invalid data")
        end = HEADER.size + length
        if len(self._received) < end:
            return None
        body = bytes(self._received[HEADER.size : end])
        del self._received[:end]
        return Kind(kind), at, body

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            return  # it has ended; its output says so

    def _epitaph(self) -> str:
        code = self._process.wait()
        last = self._errors.read(_CHUNK).decode(errors="replace").strip().splitlines()[-1:]
        return " ".join([f"the reader ended (code {code})", *last])

    def end(self) -> None:
        """Kills it, whatever it hangs in."""
        self._process.kill()
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(_KILLED_WITHIN_S)
        except subprocess.TimeoutExpired:
            return  # inside a driver of the kernel, which ends it when it comes back
