"""Degrades photographs the way cameras, hands and software do, with a seed, to test the quality gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.server.vision.detector import Box
from facewire.server.vision.image import Pixels

Spoiler = Callable[[Pixels, Box, np.random.Generator], Pixels]


def spoilt(image: Pixels, box: Box, choice: np.random.Generator) -> tuple[str, bytes]:
    """Degrades a (h, w, 3) BGR picture of a face in `box`, in a random way and strength: (name of the way, JPEG file).

    Strengths range from hardly visible to unrecognisable, relative to the face.
    """
    kind = sorted(SPOILERS)[choice.integers(len(SPOILERS))]
    picture = SPOILERS[kind](image, box, choice)
    quality = int(choice.integers(2, 12)) if kind == "jpeg" else 95
    return kind, cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _blurred(image: Pixels, box: Box, choice: np.random.Generator) -> Pixels:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), choice.uniform(0.02, 0.12) * max(box[2:])), np.uint8)


def _moved(image: Pixels, box: Box, choice: np.random.Generator) -> Pixels:
    """Linear motion blur in a random direction."""
    length = max(3, round(choice.uniform(0.05, 0.3) * max(box[2:])))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), choice.uniform(0, 180), 1)
    kernel = np.asarray(cv2.warpAffine(kernel, turn, (length, length)), np.float32)
    return np.asarray(cv2.filter2D(image, -1, kernel / max(float(kernel.sum()), 1e-6)), np.uint8)


def _shrunk(image: Pixels, box: Box, choice: np.random.Generator) -> Pixels:
    scale = choice.uniform(12, 40) / max(box[2:])
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def _darkened(image: Pixels, box: Box, choice: np.random.Generator) -> Pixels:
    return _levels(image * choice.uniform(0.03, 0.3))


def _brightened(image: Pixels, box: Box, choice: np.random.Generator) -> Pixels:
    return _levels(image * choice.uniform(1.8, 8))


def _noisy(image: Pixels, box: Box, choice: np.random.Generator) -> Pixels:
    return _levels(image + choice.normal(0, choice.uniform(15, 70), image.shape))


def _cut_off(image: Pixels, box: Box, choice: np.random.Generator) -> Pixels:
    """Crops the picture so that an edge cuts off part of the face."""
    x, y, width, height = box
    share, edge = choice.uniform(0.15, 0.55), choice.integers(4)
    rows, columns = slice(0, None), slice(0, None)
    if edge == 0:
        columns = slice(max(0, round(x + share * width)), None)
    elif edge == 1:
        columns = slice(0, max(1, round(x + (1 - share) * width)))
    elif edge == 2:
        rows = slice(max(0, round(y + share * height)), None)
    else:
        rows = slice(0, max(1, round(y + (1 - share) * height)))
    return np.ascontiguousarray(image[rows, columns])


def _as_it_is(image: Pixels, box: Box, choice: np.random.Generator) -> Pixels:
    return image


def _levels(values: NDArray[np.floating]) -> Pixels:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


SPOILERS: Mapping[str, Spoiler] = {
    "blur": _blurred,
    "motion": _moved,
    "small": _shrunk,
    "dark": _darkened,
    "bright": _brightened,
    "noise": _noisy,
    "cut off": _cut_off,
    "jpeg": _as_it_is,
}
