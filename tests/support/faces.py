"""Drawn faces for tests of quality measures: no detector would find them, but they have the measured features."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def drawn_face(seed: int = 0, size: int = 160) -> NDArray[np.uint8]:
    """(size, size, 3) RGB: an oval with eyes, nose, mouth and skin texture, lit from one side."""
    choice = np.random.default_rng(seed)
    grain = choice.normal(0, 1, (80, 80)).astype(np.float32)
    canvas = np.asarray(110 + 14 * cv2.resize(grain, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)
    canvas += np.linspace(-30, 30, size, dtype=np.float32)[None, :]
    for x, y, wide, high, level in (
        (0.36, 0.42, 0.07, 0.035, -70),
        (0.64, 0.42, 0.07, 0.035, -70),
        (0.5, 0.58, 0.03, 0.06, 35),
        (0.5, 0.73, 0.12, 0.03, -50),
    ):
        mark = np.zeros((size, size), np.float32)
        centre, axes = (round(x * size), round(y * size)), (round(wide * size), round(high * size))
        cv2.ellipse(mark, centre, axes, 0, 0, 360, 1, -1)
        canvas += level * mark
    grey = np.clip(canvas, 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
