"""Measures how clearly a face can be seen, from the detector's output and the network's input.

Everything but the size in pixels is relative to the face, so that a photograph gives the same values at every
resolution that shows the face at MEASURED_PX or more. `server.recognition.enrolment` sets the limits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.server.vision.appearance import appearance_of
from facewire.server.vision.detector import Box, Landmarks
from facewire.server.vision.image import Pixels

MEASURED_PX = 64
"""The side at which sharpness is measured: finer detail shows camera noise and JPEG artefacts more than the face, and
FaceNet does not need it (docs/decisions/0029)."""

WHITE = 247
"""Luminance from which a pixel counts as overexposed: ISO/IEC 29794-5 (face image quality), over-exposure."""

FACE_WIDTH, FACE_HEIGHT = 0.6, 0.8
"""Size, relative to the crop, of the ellipse that shows face and not hair or background; crops are the detector's box
plus a margin."""


_SECOND_DERIVATIVES = tuple(
    np.array(kernel, np.float32)
    for kernel in (
        [[0, 0, 0], [1, -2, 1], [0, 0, 0]],
        [[0, 1, 0], [0, -2, 0], [0, 1, 0]],
        np.array([[1, 0, 0], [0, -2, 0], [0, 0, 1]]) / 2,  # diagonal neighbours are farther away by the root of 2
        np.array([[0, 0, 1], [0, -2, 0], [1, 0, 0]]) / 2,
    )
)


@dataclass(frozen=True, slots=True)
class FaceQuality:
    """Measurements of one face.

    `side`: the longer side of its box, in pixels of the picture as shown.
    `sharpness`: variance of the second derivative divided by the variance of the luminance, at MEASURED_PX; 0: no
    detail.
    `yaw`: distance of the nose from the midpoint between the eyes, along the line through them, in half eye distances;
    0: facing the camera, 1: the nose is in front of an eye, 2: a profile.
    `range`: luminance between the 5th and the 95th percentile, in levels of 255; `brightness`: its median.
    `white`: the share of overexposed pixels.
    `outside`: the share of the box outside the picture.
    `likeness`: the detector's score, less 0.1 if the crop looks like a drawing or a pattern; 1 if unknown.
    `covered`: by cloth over mouth and nose, or by dark glasses; likely from 1 on. 0 if unknown.
    """

    side: float
    sharpness: float
    yaw: float
    range: float
    brightness: float
    white: float
    outside: float
    likeness: float = 1.0
    covered: float = 0.0


UNLIKE, LESS = 0.45, 0.1
"""`Appearance.unlike` above UNLIKE lowers the detector's score by LESS (docs/decisions/0041)."""

CLOTH, DARK_EYES = 0.55, 0.39
"""Values of `Appearance` exceeded by one in a hundred of FairFace's faces, and by 3 and 6 in 1,000 of LFW's."""


def looked_at(quality: FaceQuality, crop: Pixels, detection: float) -> FaceQuality:
    """`quality` with `likeness` and `covered` added, from a square crop and YuNet's score."""
    seen = appearance_of(crop)
    covered = max(0.0, seen.cloth / CLOTH, seen.dark_eyes / DARK_EYES)
    # A mask is as unlike a face as a drawing is, so a face that seems covered gets no deduction.
    less = LESS if seen.unlike > UNLIKE and covered <= 1 else 0.0
    return replace(quality, likeness=detection - less, covered=covered)


def quality_of(crop: Pixels, box: Box, landmarks: Landmarks, width: int, height: int) -> FaceQuality:
    """Measures a face. `crop`: the network's input, (h, w, 3) RGB; `box` and `landmarks`: the detector's, in a picture
    of `width` x `height` pixels as shown."""
    luminance = np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.uint8)
    seen = luminance[_ellipse(*luminance.shape)]
    low, middle, high = np.percentile(seen, (5, 50, 95))
    return FaceQuality(
        side=max(box[2:]),
        sharpness=sharpness(luminance),
        yaw=yaw(landmarks),
        range=float(high - low),
        brightness=float(middle),
        white=float(np.mean(seen >= WHITE)),
        outside=outside(box, width, height),
    )


def sharpness(luminance: Pixels) -> float:
    """Sharpness of (h, w) luminance of a face's crop (see `FaceQuality`).

    The second derivative is taken along four directions, as in the modified Laplacian (Nayar and Nakagawa, "Shape from
    focus", 1994), where derivatives in two directions can't cancel. Its variance over the face (Pech-Pacheco et al.,
    "Diatom autofocusing in brightfield microscopy", 2000) is used in the direction where it is least, because camera
    shake blurs along one line only. It grows with contrast as well as with sharpness, so it is divided by the variance
    of the luminance: dim light or dark skin is not mistaken for blur.
    """
    size = (MEASURED_PX, MEASURED_PX)
    shrinks = luminance.shape[0] > MEASURED_PX
    small = cv2.resize(luminance, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    grey = np.asarray(small, np.float32)
    face = _ellipse(MEASURED_PX, MEASURED_PX)
    least = min(float(cv2.filter2D(grey, cv2.CV_32F, kernel)[face].var()) for kernel in _SECOND_DERIVATIVES)
    return least / max(float(grey[face].var()), 1.0)


def yaw(landmarks: Landmarks) -> float:
    """See `FaceQuality`; uses the right eye, left eye and nose only.

    The nose protrudes from the plane of the eyes by about half their distance, so turning the head by an angle moves it
    along their line by the angle's tangent, in half distances: neither camera parameters nor a head model are needed.
    """
    right, left, nose = (np.array(point, np.float64) for point in landmarks[:3])
    between = left - right
    distance = float(np.hypot(*between))
    if distance == 0:
        return math.inf
    along = float((nose - (left + right) / 2) @ between) / distance
    return abs(along) / (distance / 2)


def outside(box: Box, width: int, height: int) -> float:
    """The share of a box, 0 to 1, outside a picture of `width` x `height` pixels."""
    x, y, w, h = box
    shown = max(0.0, min(x + w, width) - max(x, 0.0)) * max(0.0, min(y + h, height) - max(y, 0.0))
    return 1 - shown / (w * h) if w * h > 0 else 1.0


def _ellipse(height: int, width: int) -> NDArray[np.bool_]:
    """(height, width): which pixels of a crop show the face."""
    rows = (np.arange(height) + 0.5) / height - 0.5
    columns = (np.arange(width) + 0.5) / width - 0.5
    return (rows[:, None] / (FACE_HEIGHT / 2)) ** 2 + (columns[None, :] / (FACE_WIDTH / 2)) ** 2 <= 1
