"""Paints masks, dark glasses and scarves onto a face by its landmarks, to train and test the detection of covered
faces."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.server.vision.detector import Landmarks
from facewire.server.vision.image import Pixels

KINDS = ("mask", "glasses", "scarf")

_COLOURS = ((150, 190, 215), (230, 235, 238), (25, 25, 28), (60, 80, 130), (200, 150, 165), (110, 130, 95))
"""RGB: surgical blue, white, black, navy, pink, olive."""

Frame = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def covered(image: Pixels, landmarks: Landmarks, kind: str, choice: np.random.Generator) -> Pixels:
    """The picture with the face covered; shape, colour and texture vary with `choice`."""
    points = np.array(landmarks, np.float64)
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    down = (mouth - eyes) / max(float(np.linalg.norm(mouth - eyes)), 1e-6)
    unit = max(float(np.linalg.norm(mouth - eyes)), float(np.linalg.norm(points[1] - points[0])))
    frame = (eyes, np.array([down[1], -down[0]]) * unit, down * unit)
    painted = image.astype(np.float32)
    colour = np.array(_COLOURS[choice.integers(len(_COLOURS))]) + choice.normal(0, 12, 3)
    if kind == "glasses":
        _glasses(painted, points, frame, choice)
    else:
        _cloth(painted, frame, kind, colour, choice)
    return np.clip(painted, 0, 255).astype(np.uint8)


def _cloth(
    painted: NDArray[np.float32], frame: Frame, kind: str, colour: NDArray[np.float64], choice: np.random.Generator
) -> None:
    top = choice.uniform(0.3, 0.5) if kind == "mask" else choice.uniform(0.45, 0.65)
    wide = choice.uniform(0.85, 1.05)
    if kind == "mask":
        outline = [(0, top), (0.5, top + 0.1), (wide, top + 0.25), (wide * 0.85, 1.25), (0.45, 1.7), (0, 1.8)]
    else:
        outline = [(0, top), (wide, top - 0.05), (wide * 1.2, 1.3), (wide * 1.1, 2.2), (0, 2.3)]
    shape = [*outline, *((-x, y) for x, y in reversed(outline[1:]))]
    mask = _filled(painted, [_at(frame, x, y) for x, y in shape])
    height, width = painted.shape[:2]
    unit = float(np.linalg.norm(frame[2]))
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    along = ((columns - frame[0][0]) * frame[2][0] + (rows - frame[0][1]) * frame[2][1]) / unit**2
    across = ((columns - frame[0][0]) * frame[1][0] + (rows - frame[0][1]) * frame[1][1]) / unit**2
    shade = 1 - choice.uniform(0.1, 0.4) * across**2
    if kind == "mask":  # its folds
        shade = shade * (1 - choice.uniform(0, 0.12) * (np.sin(along * choice.uniform(14, 26)) > 0.6))
    else:  # knitted or striped
        shade = shade * (
            1 + choice.uniform(0, 0.35) * np.sin(along * choice.uniform(6, 30) + across * choice.uniform(-9, 9))
        )
    noise = cv2.GaussianBlur(choice.normal(0, 1, (height, width)).astype(np.float32), (0, 0), max(0.8, unit / 60))
    light = float(np.clip(painted[mask > 0.5].mean() / 120, 0.35, 1.3)) if (mask > 0.5).any() else 1.0
    cloth = colour[None, None] * (shade + noise * 0.1)[..., None] * light
    painted += mask[..., None] * (cloth.astype(np.float32) - painted)


def _glasses(
    painted: NDArray[np.float32], points: NDArray[np.float64], frame: Frame, choice: np.random.Generator
) -> None:
    unit = float(np.linalg.norm(frame[2]))
    angle = float(np.degrees(np.arctan2(frame[1][1], frame[1][0])))
    axes = (unit * choice.uniform(0.34, 0.45), unit * choice.uniform(0.24, 0.36))
    mask = np.zeros(painted.shape[:2], np.float32)
    for eye in points[:2]:
        centre = eye + frame[2] * 0.04
        cv2.ellipse(mask, (tuple(centre.tolist()), (2 * axes[0], 2 * axes[1]), angle), 1.0, -1)
    thick = max(1, round(unit * 0.06))
    ends = [points[0], points[1], _at(frame, -1.0, -0.05), _at(frame, 1.0, -0.05)]
    for one, other in ((0, 1), (0, 2), (1, 3)):
        cv2.line(
            mask,
            tuple(ends[one].round().astype(int).tolist()),
            tuple(ends[other].round().astype(int).tolist()),
            1.0,
            thick,
        )
    mask = cv2.GaussianBlur(mask, (0, 0), max(0.5, unit / 80)) * choice.uniform(0.85, 1.0)
    tint = np.array([20, 20, 22]) + choice.uniform(0, 30, 3)
    painted += mask[..., None] * (tint[None, None].astype(np.float32) - painted)


def _at(frame: Frame, x: float, y: float) -> NDArray[np.float64]:
    return frame[0] + frame[1] * x + frame[2] * y


def _filled(painted: NDArray[np.float32], outline: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    mask = np.zeros(painted.shape[:2], np.float32)
    cv2.fillPoly(mask, [np.array(outline).round().astype(np.int32)], 1.0)
    return np.asarray(
        cv2.GaussianBlur(mask, (0, 0), max(0.5, float(np.ptp(np.array(outline)[:, 0])) / 150)), np.float32
    )
