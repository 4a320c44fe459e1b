"""The face in a box that somebody drew, as the detector sees it when it looks closely.

A detector is asked to be sure about a whole picture; here it is told where to look, so it searches the surroundings
of the box alone, enlarged.
"""

from __future__ import annotations

import numpy as np

from facewire.server.vision.alignment import square_crop
from facewire.server.vision.detector import Box, Detection, Detector, overlap
from facewire.server.vision.image import Pixels

AROUNDS = (2.0, 1.4, 3.0)
"""Sides of the squares that are searched, in longer sides of the box: with context, closer, and with more of it."""

SIDE = 320
"""Pixels of such a square: a box is then about as large as the faces that detectors are trained on."""

SAME_PLACE = 0.25
"""Intersection over union from which a face is meant by a box: drawn boxes often hold the whole head, which is up to
three times a detector's box, and never as little as a neighbour."""


def pointed_at(detector: Detector, image: Pixels, box: Box) -> Detection | None:
    """The face in `box`, in (h, w, 3) RGB pixels; None if none can be made out there."""
    for around in AROUNDS:
        seen = [face for face in _searched(detector, image, box, around) if overlap(face.box, box) >= SAME_PLACE]
        if seen:
            return max(seen, key=lambda face: overlap(face.box, box))
    return None


def _searched(detector: Detector, image: Pixels, box: Box, around: float) -> list[Detection]:
    """The faces in the square around the box, in pixels of the picture."""
    x, y, w, h = box
    side = max(2, round(max(w, h) * around))
    left, top = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
    view = square_crop(image, (left, top, side, side), 0.0, (SIDE, SIDE))
    faces = [face.scaled(side / SIDE) for face in detector.detect(np.ascontiguousarray(view))]
    return [_shifted(face, left, top) for face in faces]


def _shifted(face: Detection, right: float, down: float) -> Detection:
    x, y, w, h = face.box
    points = tuple((px + right, py + down) for px, py in face.landmarks)
    return Detection((x + right, y + down, w, h), points, face.score)
