"""Pictures other than portraits: five people in front of a wall, and a landscape without people."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from lab.sample_people.geometry import SIDE, Image
from lab.sample_people.portrait import Cutout, Shot, developed

Point = tuple[float, float]
Colour = tuple[int, int, int]

GROUP_SIZE = (1000, 460)
PLACES = ((0.30, 0.36, 1.0), (0.70, 0.34, 1.05), (0.11, 0.45, 1.25), (0.50, 0.50, 1.35), (0.89, 0.47, 1.2))
"""Of the people in a group, those at the back first: the middle of their canvas as parts of width and height, and its
scale in picture pixels per canvas pixel."""
CLOTHES = ((78, 84, 96), (104, 82, 76), (60, 72, 84), (92, 96, 88), (72, 64, 70))
HALO = 1.6
"""The power that a cutout's edge is raised to: where it is soft it shows more of the old background than of anybody."""
LANDSCAPE_SIZE = (480, 320)


def group_picture(cutouts: Sequence[Cutout], rng: np.random.Generator) -> NDArray[np.uint8]:
    """One cutout per place -> (h, w, 3) RGB; faces differ in size by about a third."""
    picture = _wall(*GROUP_SIZE, rng)
    for cutout, (across, down, scale), cloth in zip(cutouts, PLACES, CLOTHES, strict=True):
        middle = (across * GROUP_SIZE[0], down * GROUP_SIZE[1])
        picture = _placed(_with_body(picture, middle, scale, cloth), cutout, middle, scale)
    return developed(picture, Shot(1, 0, (0, 0), light=1.0, tilt=0.05, blur=0.0, grain=1.2), rng)


def landscape(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Hills under an evening sky, (h, w, 3) RGB."""
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


def _with_body(picture: Image, middle: Point, scale: float, cloth: Colour) -> Image:
    """Adds shoulders and body, out of focus; the head is drawn on top later."""
    x, y, wide, high = (round(value) for value in (*middle, 0.62 * SIDE * scale, 0.42 * SIDE * scale))
    arms = y + round(0.75 * SIDE * scale)
    mask = np.zeros((*picture.shape[:2], 1), np.float32)
    cv2.ellipse(mask, (x, arms), (wide, high), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    cv2.rectangle(mask, (x - wide, arms), (x + wide, picture.shape[0]), 1.0, -1)
    alpha = cv2.GaussianBlur(mask, (0, 0), 3 * scale)[..., None]
    return np.asarray(picture * (1 - alpha) + np.array(cloth, np.float32) * alpha, np.float32)


def _placed(picture: Image, cutout: Cutout, middle: Point, scale: float) -> Image:
    height, width = picture.shape[:2]
    matrix = np.array([[scale, 0, middle[0] - scale * SIDE / 2], [0, scale, middle[1] - scale * SIDE / 2]])
    layers = np.dstack([cutout.pixels, cutout.alpha**HALO * _away_from_the_edges()])
    spread = cv2.warpAffine(layers, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    alpha = spread[..., 3:]
    return np.asarray(picture * (1 - alpha) + spread[..., :3] * alpha, np.float32)


def _away_from_the_edges() -> NDArray[np.float32]:
    """(SIDE, SIDE): 1 except at the canvas's borders, where hair and shoulders must fade out."""
    inward = np.minimum(np.arange(SIDE), np.arange(SIDE)[::-1]) / SIDE
    beside, above_and_below = np.clip(inward / 0.18, 0, 1), np.clip(inward / 0.1, 0, 1)
    return np.asarray(above_and_below[:, None] * beside, np.float32)


def _wall(width: int, height: int, rng: np.random.Generator) -> Image:
    """A room out of focus: a gradient with soft spots of light."""
    wall = _gradient(width, height, (126, 120, 112), (92, 86, 82))
    for _ in range(14):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height * 0.7)))
        shade = wall.copy()
        cv2.circle(shade, centre, int(rng.uniform(20, 70)), (168, 158, 142), -1, cv2.LINE_AA)
        wall = wall + 0.25 * (shade - wall)
    return np.asarray(cv2.GaussianBlur(wall, (0, 0), 14), np.float32)


def _gradient(width: int, height: int, top: Colour, bottom: Colour) -> Image:
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    column = (1 - down) * np.array(top, np.float32) + down * np.array(bottom, np.float32)
    return np.ascontiguousarray(np.broadcast_to(column, (height, width, 3)), np.float32)
