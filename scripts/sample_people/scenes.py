"""Pictures that are no portraits: five people before one wall, and a landscape without anybody."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.sample_people.geometry import SIDE, Image
from scripts.sample_people.portrait import Cutout, Shot, developed

GROUP_SIZE = (1000, 480)
PLACES = ((0.305, 1.35), (0.70, 1.45), (0.11, 1.75), (0.50, 1.85), (0.885, 1.65))
"""Of the people in a group, those at the back first: middle as a part of the width, picture pixels per canvas pixel."""
BENEATH = 0.02
"""How much of a canvas's height lies below the picture, so that nobody ends above its edge."""
LANDSCAPE_SIZE = (480, 320)


def group_picture(cutouts: Sequence[Cutout], rng: np.random.Generator) -> NDArray[np.uint8]:
    """One cutout per place -> (h, w, 3) RGB; faces differ in size by about a third."""
    picture = _wall(*GROUP_SIZE, rng)
    for cutout, (middle, scale) in zip(cutouts, PLACES, strict=True):
        picture = _placed(picture, cutout, middle, scale)
    return developed(picture, Shot(1, 0, (0, 0), light=1.0, tilt=0.05, blur=0.0, grain=1.2), rng)


def landscape(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Hills before an evening sky, (h, w, 3) RGB."""
    width, height = LANDSCAPE_SIZE
    picture = _gradient(width, height, (96, 140, 196), (246, 206, 160))
    cv2.circle(picture, (int(width * 0.72), int(height * 0.36)), 22, (255, 236, 190), -1, cv2.LINE_AA)
    columns = np.arange(width)
    for depth, colour in enumerate([(134, 150, 160), (98, 124, 116), (66, 96, 72), (44, 66, 46)]):
        waves = sum(np.sin(columns / rng.uniform(25, 90) + rng.uniform(0, 6)) for _ in range(3))
        line = height * (0.48 + 0.12 * depth) + 9 * np.asarray(waves)
        outline = np.vstack([np.stack([columns, line], axis=1), [[width, height], [0, height]]])
        cv2.fillPoly(picture, [outline.astype(np.int32)], colour, cv2.LINE_AA)
    return developed(picture, Shot(1, 0, (0, 0), light=1.0, tilt=0.0, blur=0.8, grain=2.0), rng)


def _placed(picture: Image, cutout: Cutout, middle: float, scale: float) -> Image:
    height, width = picture.shape[:2]
    matrix = np.array(
        [[scale, 0, middle * width - scale * SIDE / 2], [0, scale, height - scale * SIDE * (1 - BENEATH)]]
    )
    # The canvas ends where the shoulders go on: they fade out before its sides.
    sides = np.clip(np.minimum(np.arange(SIDE), np.arange(SIDE)[::-1]) / (SIDE * 0.12), 0, 1).astype(np.float32)
    layers = np.dstack([cutout.pixels, cutout.alpha * sides])
    spread = cv2.warpAffine(layers, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    alpha = spread[..., 3:]
    return np.asarray(picture * (1 - alpha) + spread[..., :3] * alpha, np.float32)


def _wall(width: int, height: int, rng: np.random.Generator) -> Image:
    """A room out of focus: a gradient with soft spots of light."""
    wall = _gradient(width, height, (126, 120, 112), (92, 86, 82))
    for _ in range(14):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height * 0.7)))
        shade = wall.copy()
        cv2.circle(shade, centre, int(rng.uniform(20, 70)), (168, 158, 142), -1, cv2.LINE_AA)
        wall = wall + 0.25 * (shade - wall)
    return np.asarray(cv2.GaussianBlur(wall, (0, 0), 14), np.float32)


def _gradient(width: int, height: int, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Image:
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    column = (1 - down) * np.array(top, np.float32) + down * np.array(bottom, np.float32)
    return np.ascontiguousarray(np.broadcast_to(column, (height, width, 3)), np.float32)
