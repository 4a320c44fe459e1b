"""A film for Chromium's fake camera."""

from __future__ import annotations

from tests.support.synthetic_engine import draw

SIZE = (640, 480)
FRAMES = 12


def mjpeg(face: int) -> bytes:
    """JPEGs one after the other: one face, which moves."""
    return b"".join(
        draw((face, (160.0 + 10 * step, 120.0, 180.0, 200.0)), size=SIZE, extension=".jpg") for step in range(FRAMES)
    )
