"""The only module that imports dlib: an embedder and a detector that need nothing but a package index.

The network expects faces aligned by dlib's own five landmarks (corners of the eyes, base of the nose), which dlib's
shape predictor finds inside a box like those of dlib's own detector. Boxes in this project are YuNet's, so they are
converted in both directions by the median relation between the two on LFW (`_BOX_*`).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facewire.server.errors import StartError
from facewire.server.vision.detector import Box, Detection
from facewire.server.vision.image import Pixels
from facewire.server.vision.runtime import Floats

CHIP_SIZE = 150
CHIP_PADDING = 0.25
_UPSAMPLED_BELOW = 640  # dlib's detector needs faces of 80 px: smaller pictures are doubled, so 40 px suffice


def import_dlib() -> Any:
    """The module. Raises StartError if it is not installed."""
    try:
        import dlib
    except ImportError as error:
        raise StartError(
            "dlib is not installed: pip install -r requirements-offline.txt brings it and its networks"
        ) from error
    return dlib


class DlibEngine:
    """dlib's 128-d ResNet. Its raw outputs have lengths near 1.4 and dlib compares them by Euclidean distance; at unit
    length neighbours are ordered by cosine, which is no worse on LFW's pairs."""

    def __init__(self, network: Path, five_landmarks: Path) -> None:
        dlib = import_dlib()
        self._dlib = dlib
        self._network = dlib.face_recognition_model_v1(str(network))
        self._predictor = dlib.shape_predictor(str(five_landmarks))
        self._one_at_a_time = threading.Lock()  # guards the network: dlib networks store their activations

    def crop(self, image: Pixels, face: Detection) -> Pixels:
        rectangle = self._dlib.rectangle(*_dlib_corners(face.box))
        pixels = np.ascontiguousarray(image)
        chip = self._dlib.get_face_chip(pixels, self._predictor(pixels, rectangle), CHIP_SIZE, CHIP_PADDING)
        return np.asarray(chip, np.uint8)

    def forward(self, crops: Sequence[Pixels]) -> Floats:
        with self._one_at_a_time:
            rows = self._network.compute_face_descriptor([np.ascontiguousarray(crop) for crop in crops])
        return np.array([list(row) for row in rows], np.float32)


class DlibDetector:
    """dlib's frontal detector (HOG), for machines without YuNet: faces of at least 40 px that look at the camera."""

    name = "dlib"
    sure = 0.0  # it finds upright faces only
    enough = 1920  # larger pictures would take seconds each, for faces too small to see at arm's length

    def __init__(self, landmarks: Path) -> None:
        dlib = import_dlib()
        self._dlib = dlib
        self._predictor = dlib.shape_predictor(str(landmarks))
        self._per_thread = threading.local()  # dlib's detector object stores its image pyramid

    def detect(self, image: Pixels) -> list[Detection]:
        """All faces, largest first; `score` maps dlib's margin to 0..1 with a sigmoid."""
        if not hasattr(self._per_thread, "detector"):
            self._per_thread.detector = self._dlib.get_frontal_face_detector()
        pixels = np.ascontiguousarray(image)
        doubled = 1 if max(image.shape[:2]) < _UPSAMPLED_BELOW else 0
        rectangles, margins, _ = self._per_thread.detector.run(pixels, doubled, 0.0)
        faces = [self._detection(pixels, *found) for found in zip(rectangles, margins, strict=True)]
        return sorted(faces, key=lambda face: (-face.area, face.box))

    def glance(self, image: Pixels) -> list[Detection]:
        """As `detect`."""
        return self.detect(image)

    def _detection(self, pixels: Pixels, rectangle: Any, margin: float) -> Detection:
        shape = self._predictor(pixels, rectangle)
        points = np.array([(shape.part(index).x, shape.part(index).y) for index in range(68)], np.float64)
        # From left to right in the picture, like YuNet: the person's right eye first.
        chosen = (points[36:42].mean(axis=0), points[42:48].mean(axis=0), points[30], points[48], points[54])
        landmarks = tuple((float(x), float(y)) for x, y in chosen)
        return Detection(_yunet_box(rectangle), landmarks, float(1 / (1 + np.exp(-4 * margin))))


# Medians over 405 LFW faces found by both detectors: the side of dlib's square is 0.87 of YuNet's height and its centre
# 0.035 of it lower; YuNet's boxes are 0.758 times as wide as high.
_BOX_SIDE = 0.87
_BOX_DROP = 0.035
_BOX_ASPECT = 0.758


def _dlib_corners(box: Box) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the square that dlib's detector would give for YuNet's box."""
    x, y, width, height = box
    half = height * _BOX_SIDE / 2
    middle_x, middle_y = x + width / 2, y + height / 2 + height * _BOX_DROP
    return round(middle_x - half), round(middle_y - half), round(middle_x + half), round(middle_y + half)


def _yunet_box(rectangle: Any) -> Box:
    """The box that YuNet would give for dlib's square."""
    height = rectangle.height() / _BOX_SIDE
    width = height * _BOX_ASPECT
    middle_x = (rectangle.left() + rectangle.right()) / 2
    middle_y = (rectangle.top() + rectangle.bottom()) / 2 - height * _BOX_DROP
    return middle_x - width / 2, middle_y - height / 2, width, height
