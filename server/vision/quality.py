"""How well a face can be seen, in numbers: from what the detector says of it and what the network is shown of it.

Everything but the size in pixels is relative to the face, so that one photograph says the same at every resolution
that shows the face at MEASURED_PX or more. Which numbers are good enough is for `server.recognition.quality_gate`.
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
"""The side at which sharpness is measured: finer detail than that shows the camera's noise and JPEG's more than the
face, and FaceNet does not miss it (docs/decisions/0029)."""

WHITE = 247
"""Luminance from which a pixel is called overexposed: ISO/IEC 29794-5 (face image quality), over-exposure."""

FACE_WIDTH, FACE_HEIGHT = 0.6, 0.8
"""Of the crop, the ellipse that is face and not hair or background; crops are the detector's box and some margin."""


_SECOND_DERIVATIVES = tuple(
    np.array(kernel, np.float32)
    for kernel in (
        [[0, 0, 0], [1, -2, 1], [0, 0, 0]],
        [[0, 1, 0], [0, -2, 0], [0, 1, 0]],
        np.array([[1, 0, 0], [0, -2, 0], [0, 0, 1]]) / 2,  # neighbours across lie farther away by the root of 2
        np.array([[0, 0, 1], [0, -2, 0], [1, 0, 0]]) / 2,
    )
)


@dataclass(frozen=True, slots=True)
class FaceQuality:
    """Numbers of one face.

    `side`: the longer side of its box, in pixels of the picture as shown.
    `sharpness`: variance of the second derivative by the variance of the luminance, at MEASURED_PX; 0: no detail.
    `yaw`: how far the nose is from the middle between the eyes, along the line through them, in half distances of the
    eyes; 0: it faces the camera, 1: the nose is before an eye, 2: a profile.
    `range`: luminance between the 5th and the 95th percentile, in levels of 255; `brightness`: its median.
    `white`: the share of pixels that are overexposed.
    `outside`: the share of the box that lies outside the picture.
    `likeness`: the detector's score, less 0.1 where the crop looks like a drawing or a pattern; 1 where it isn't known.
    `covered`: by cloth over mouth and nose or by dark glasses; 1 where that is likely. 0 where it isn't known.
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
"""From which value of `Appearance.unlike` on the detector's score counts for so much less (docs/decisions/0041)."""

CLOTH, DARK_EYES = 0.55, 0.39
"""Values of `Appearance` that one in a hundred of FairFace's faces exceeds, and 3 and 6 in 1,000 of LFW's."""


def looked_at(quality: FaceQuality, crop: Pixels, detection: float) -> FaceQuality:
    """The same with `likeness` and `covered`, of a square crop and YuNet's score."""
    seen = appearance_of(crop)
    covered = max(0.0, seen.cloth / CLOTH, seen.dark_eyes / DARK_EYES)
    # A mask is as unlike a face as a drawing is: what seems to be covered isn't held against the face.
    less = LESS if seen.unlike > UNLIKE and covered <= 1 else 0.0
    return replace(quality, likeness=detection - less, covered=covered)


def quality_of(crop: Pixels, box: Box, landmarks: Landmarks, width: int, height: int) -> FaceQuality:
    """Measures a face. `crop`: what the network is shown of it, (h, w, 3) RGB; `box` and `landmarks`: where the
    detector found it in a picture of `width` x `height` pixels, as shown."""
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
    """Of (h, w) luminance of a face's crop.

    The second derivative along four directions, as in the modified Laplacian (Nayar and Nakagawa, "Shape from focus",
    1994), where derivatives in two directions can't cancel; its variance over the face (Pech-Pacheco et al., "Diatom
    autofocusing in brightfield microscopy", 2000) in the direction where that is least, for a hand that shook blurs
    along one line only. It grows with contrast as well as with sharpness, so it is divided by the variance of the
    luminance: a dim light, or a dark skin, is not taken for blur.
    """
    size = (MEASURED_PX, MEASURED_PX)
    shrinks = luminance.shape[0] > MEASURED_PX
    small = cv2.resize(luminance, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    grey = np.asarray(small, np.float32)
    face = _ellipse(MEASURED_PX, MEASURED_PX)
    least = min(float(cv2.filter2D(grey, cv2.CV_32F, kernel)[face].var()) for kernel in _SECOND_DERIVATIVES)
    return least / max(float(grey[face].var()), 1.0)


def yaw(landmarks: Landmarks) -> float:
    """See `FaceQuality`; from right eye, left eye and nose alone.

    The nose stands out of the plane of the eyes by about half their distance, so turning the head by an angle moves it
    along their line by the angle's tangent, in half distances: no camera and no model of a head are needed.
    """
    right, left, nose = (np.array(point, np.float64) for point in landmarks[:3])
    between = left - right
    distance = float(np.hypot(*between))
    if distance == 0:
        return math.inf
    along = float((nose - (left + right) / 2) @ between) / distance
    return abs(along) / (distance / 2)


def outside(box: Box, width: int, height: int) -> float:
    """The share of a box, 0 to 1, that a picture of `width` x `height` pixels doesn't show."""
    x, y, w, h = box
    shown = max(0.0, min(x + w, width) - max(x, 0.0)) * max(0.0, min(y + h, height) - max(y, 0.0))
    return 1 - shown / (w * h) if w * h > 0 else 1.0


def _ellipse(height: int, width: int) -> NDArray[np.bool_]:
    """(height, width): which pixels of a crop are face."""
    rows = (np.arange(height) + 0.5) / height - 0.5
    columns = (np.arange(width) + 0.5) / width - 0.5
    return (rows[:, None] / (FACE_HEIGHT / 2)) ** 2 + (columns[None, :] / (FACE_WIDTH / 2)) ** 2 <= 1
