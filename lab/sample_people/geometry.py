"""Five landmarks and the warp between a picture and the canvas on which every face has them in the same place."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Image = NDArray[np.float32]
"""(h, w, 3) RGB, 0..255."""

SIDE = 192
"""The canvas, in pixels a side: from above the hair to the shoulders at about the resolution LFW has."""
EYES = 44.0
"""Pixels between the eyes on the canvas; LFW's are about 42 apart."""

_MIDDLE, _EYE_LINE = SIDE / 2 - 0.5, SIDE * 0.45
LANDMARKS: Points = np.array(
    [
        [_MIDDLE - EYES / 2, _EYE_LINE],
        [_MIDDLE + EYES / 2, _EYE_LINE],
        [_MIDDLE, _EYE_LINE + EYES * 0.62],
        [_MIDDLE - EYES * 0.42, _EYE_LINE + EYES * 1.13],
        [_MIDDLE + EYES * 0.42, _EYE_LINE + EYES * 1.13],
    ]
)
"""Where the canvas has them, in YuNet's order: eyes, nose, mouth corners, each from left to right as seen."""

MIRRORED_ORDER = [1, 0, 2, 4, 3]


def _border() -> Points:
    """Twelve points around the canvas that keep the warp from bending areas far from the face."""
    steps = np.linspace(0, SIDE - 1, 4)
    return np.array([(x, y) for x in steps for y in steps if {x, y} & {steps[0], steps[-1]}])


BORDER: Points = _border()
CANVAS_POINTS: Points = np.vstack([LANDMARKS, BORDER])


def mirrored(landmarks: Points) -> Points:
    """(n, 5, 2) canvas landmarks of the mirrored faces."""
    turned = landmarks[:, MIRRORED_ORDER].copy()
    turned[..., 0] = SIDE - 1 - turned[..., 0]
    return turned


def similarity(source: Points, target: Points) -> NDArray[np.float64]:
    """The 2x3 matrix (turn, scale, shift) that brings `source` closest to `target`, both (n, 2)."""
    z, w = source @ [1, 1j], target @ [1, 1j]
    z_mean, w_mean = z.mean(), w.mean()
    a = np.vdot(z - z_mean, w - w_mean) / np.vdot(z - z_mean, z - z_mean).real
    b = w_mean - a * z_mean
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def moved(points: Points, matrix: NDArray[np.float64]) -> Points:
    """(n, 2) points under a 2x3 matrix."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def to_canvas(picture: NDArray[np.uint8], landmarks: Points) -> tuple[NDArray[np.uint8], Points]:
    """The face warped to the canvas by a thin-plate spline that maps its landmarks to LANDMARKS, and its shape: (5, 2)
    landmarks after a similarity transform only."""
    matrix = similarity(landmarks, LANDMARKS)
    source = np.vstack([landmarks, moved(BORDER, similarity(LANDMARKS, landmarks))])
    warped = _sampled(picture, (_canvas_weights() @ source).astype(np.float32).reshape(SIDE, SIDE, 2))
    return np.asarray(warped, np.uint8), moved(landmarks, matrix)


def from_canvas(layers: Image, shape: Points) -> Image:
    """(SIDE, SIDE, c) on the canvas, warped so that its landmarks are at `shape`."""
    weights = _spline_weights(np.vstack([shape, BORDER]))
    sampled = _sampled(layers, (weights @ CANVAS_POINTS).astype(np.float32).reshape(SIDE, SIDE, 2))
    return np.asarray(sampled, np.float32)


def _sampled(picture: NDArray[np.uint8] | Image, where: NDArray[np.float32]) -> NDArray[np.generic]:
    columns, rows = np.ascontiguousarray(where[..., 0]), np.ascontiguousarray(where[..., 1])
    return np.asarray(cv2.remap(picture, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


@cache
def _canvas_weights() -> NDArray[np.float64]:
    return _spline_weights(CANVAS_POINTS)


def _spline_weights(control: Points) -> NDArray[np.float64]:
    """(SIDE * SIDE, n): times values at the n control points gives the spline's value at every canvas pixel."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float64)
    n = len(control)
    affine = np.hstack([np.ones((n, 1)), control])
    system = np.zeros((n + 3, n + 3))
    system[:n, :n], system[:n, n:], system[n:, :n] = _bending(control, control), affine, affine.T
    basis = np.hstack([_bending(pixels, control), np.ones((len(pixels), 1)), pixels])
    return np.asarray(basis @ np.linalg.inv(system)[:, :n], np.float64)


def _bending(a: Points, b: Points) -> NDArray[np.float64]:
    """r^2 log r^2, the bending energy's own kernel (Bookstein, 1989)."""
    squared = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    return np.asarray(squared * np.log(np.maximum(squared, 1e-12)), np.float64)
