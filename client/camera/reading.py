"""The child process that reads a camera: `python -m facewire.client.camera.reading`, see `pipe.py`.

It reads as fast as a live stream comes and keeps the newest frame only, so that nothing piles up anywhere; a JPEG is
made only of a frame that is asked for. It ends when its parent closes its standard input, or is gone.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.client.camera.pipe import HEADER, Kind, Order
from facewire.client.camera.streams import Frame, NotWatchable, StreamLost, device_frames, stream_frames

_JPEG_QUALITY = 90
_INPUT, _OUTPUT = 0, 1  # its standard input and output


class _Said:
    """Sends records, one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the output

    def __call__(self, kind: Kind, body: bytes = b"", at: float = 0.0) -> None:
        with self._lock:
            data = memoryview(HEADER.pack(kind, at, len(body)) + body)
            while data:
                data = data[os.write(_OUTPUT, data) :]


class _Newest:
    """The newest frame that nobody has taken yet."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards what follows
        self._frame: Frame | None = None

    def put(self, frame: Frame) -> None:
        with self._changed:
            self._frame = frame
            self._changed.notify()

    def take(self) -> Frame:
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None)
            frame, self._frame = self._frame, None
            assert frame is not None
            return frame


def main() -> None:
    """Reads what the order says until told to end."""
    order = Order.of(_first_line())
    say = _Said()
    try:
        frames = device_frames(order) if order.kind == "device" else stream_frames(order)
        if order.kind == "file":
            _file(order, frames, say)
        else:
            _live(order, frames, say)
    except NotWatchable as error:
        say(Kind.WRONG, str(error).encode())
    except StreamLost as error:
        say(Kind.LOST, str(error).encode())


def _file(order: Order, frames: Iterator[Frame], say: _Said) -> None:
    """A frame for each that is wanted, however long that takes."""
    opened = False
    for frame in frames:
        if not opened:
            opened = True
            say(Kind.OPENED)
        if not os.read(_INPUT, 1):
            return
        say(Kind.FRAME, _jpeg(frame.pixels(order.width)), frame.at)
    if not opened:
        raise NotWatchable("no frame of it can be decoded")
    say(Kind.ENDED)


def _live(order: Order, frames: Iterator[Frame], say: _Said) -> None:
    newest = _Newest()
    threading.Thread(target=_answer, args=(order, newest, say), name="camera-answers", daemon=True).start()
    opened = False
    for frame in frames:
        if not opened:
            opened = True
            say(Kind.OPENED)
        newest.put(frame)
    say(Kind.LOST, b"the stream has ended")


def _answer(order: Order, newest: _Newest, say: _Said) -> None:
    """Sends the newest frame for each that is wanted, and ends the process with its parent."""
    while os.read(_INPUT, 1):
        frame = newest.take()
        say(Kind.FRAME, _jpeg(frame.pixels(order.width)), time.monotonic())
    os._exit(0)  # the other thread may hang in a library for ever


def _first_line() -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(_INPUT, 1)
        if not byte:
            sys.exit(0)
        line += byte
    return bytes(line)


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done, "OpenCV makes a JPEG of any pixels"
    return data.tobytes()


if __name__ == "__main__":
    main()
