"""A video of the sample people, who walk through the picture one after the other, some side by side."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

WIDTH, HEIGHT, RATE = 640, 360, 10
FACE = 200  # pixels of a portrait, whose face is about half of it


@dataclass(frozen=True, slots=True)
class Walk:
    """Somebody enters at `begins` seconds and is gone `lasts` seconds later; `top`: where, in pixels; `reverse`: from
    right to left; `blurred`: seconds of the walk that are out of focus."""

    portraits: tuple[Path, ...]
    begins: float
    lasts: float
    top: int = 80
    reverse: bool = False
    blurred: tuple[float, float] = (0.0, 0.0)


def film(path: Path, walks: list[Walk], seconds: float, *, codec: str = "mpeg4") -> Path:
    """Writes the video."""
    import av  # needs the extra [camera]

    ground = _ground()
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(RATE))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = 4_000_000
        for number in range(round(seconds * RATE)):
            canvas = ground.copy()
            for walk in walks:
                _paint(canvas, walk, number / RATE)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(canvas, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def _ground() -> Pixels:
    noise = np.random.default_rng(0).normal(110, 12, (HEIGHT // 8, WIDTH // 8, 3)).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


def _paint(canvas: Pixels, walk: Walk, now: float) -> None:
    since = now - walk.begins
    if not 0 <= since < walk.lasts:
        return
    # Each of their pictures is shown for as long
    picture = cv2.imread(str(walk.portraits[int(since / walk.lasts * len(walk.portraits))]))
    assert picture is not None
    face = cv2.resize(picture, (FACE, FACE))
    if walk.blurred[0] <= since < walk.blurred[1]:
        face = cv2.GaussianBlur(face, (0, 0), 8)
    way = since / walk.lasts
    left = round((1 - way if walk.reverse else way) * (WIDTH + FACE)) - FACE
    begin, end = max(0, left), min(WIDTH, left + FACE)
    canvas[walk.top : walk.top + FACE, begin:end] = face[:, begin - left : end - left]
