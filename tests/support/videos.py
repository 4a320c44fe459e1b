"""Videos of synthetic faces: in the colours of tests.support.synthetic_engine, or of the sample people."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.server.gallery.records import Box
from tests.support.synthetic_engine import draw

Pixels = NDArray[np.uint8]

SIZE = (192, 128)
RATE = 10

pytest.importorskip("av", reason="PyAV is not installed (requirements-camera.txt)")


def encoded(
    frames: Iterable[Pixels], *, rate: int | Fraction = RATE, form: str = "mp4", codec: str = "libx264",
    full_colour: bool = True, faststart: bool = False, turned: bool = False,
) -> bytes:  # fmt: skip
    """A video file of BGR frames. `full_colour`: colours at full resolution, so that synthetic faces keep their edges;
    `faststart`: the header comes first, so that a file that is cut off has it; `turned`: as a phone held upright writes
    it."""
    with tempfile.TemporaryDirectory() as room:  # FFmpeg opens the file once more to move the header
        path = Path(room) / "film"
        _encode(path, frames, rate, form, codec, full_colour=full_colour, faststart=faststart)
        data = path.read_bytes()
    return turned_left(data) if turned else data


def _encode(
    path: Path,
    frames: Iterable[Pixels],
    rate: int | Fraction,
    form: str,
    codec: str,
    *,
    full_colour: bool,
    faststart: bool,
) -> None:
    import av

    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", format=form, options=options) as container:
        stream = container.add_stream(codec, rate=Fraction(rate))
        stream.pix_fmt = "yuv444p" if full_colour and codec == "libx264" else "yuv420p"
        if codec == "libx264":
            stream.options = {"crf": "6", "preset": "ultrafast"}
        else:
            stream.bit_rate = 4_000_000
        started = False
        for pixels in frames:
            if not started:
                stream.height, stream.width = pixels.shape[:2]
                started = True
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        container.mux(stream.encode(None))


def padded(data: bytes, size: int) -> bytes:
    """The same film in a file of `size` bytes: the rest is free space, which readers skip."""
    return data + free_box(size - len(data)) + bytes(size - len(data) - 8)


def free_box(size: int) -> bytes:
    """The head of a box of `size` bytes that says nothing."""
    return size.to_bytes(4, "big") + b"free"


def turned_left(data: bytes) -> bytes:
    """The same film, to be shown turned by a quarter: the matrix in its track's header says so."""
    at = data.index(b"tkhd") + 44
    one = (1 << 16).to_bytes(4, "big")
    minus = (0xFFFF0000).to_bytes(4, "big")
    matrix = bytes(4) + one + bytes(4) + minus + bytes(24) + (1 << 30).to_bytes(4, "big")
    return data[:at] + matrix[:36] + data[at + 36 :]


def picture(*faces: tuple[int, Box], shade: int = 0, size: tuple[int, int] = SIZE) -> Pixels:
    """A frame of synthetic faces: (number of the colour, box)."""
    image = cv2.imdecode(np.frombuffer(draw(*faces, size=size, shade=shade), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(image, np.uint8)


def scene(faces: Sequence[tuple[int, Box]], seconds: float, *, shade: int = 0, rate: int = RATE) -> list[Pixels]:
    """Frames that all show this."""
    return [picture(*faces, shade=shade)] * round(seconds * rate)


LEFT: Box = (16.0, 32.0, 48.0, 48.0)
RIGHT: Box = (112.0, 32.0, 48.0, 48.0)


def visit() -> bytes:
    """Face 5 for two seconds, then 5 and 9, then 9 alone; each two seconds."""
    frames = scene([(5, LEFT)], 2) + scene([(5, LEFT), (9, RIGHT)], 2, shade=1) + scene([(9, RIGHT)], 2, shade=2)
    return encoded(frames)
