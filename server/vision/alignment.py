"""Crops a face from a picture the way its network was trained to see it, turned upright if it has to be.

Boxes and landmarks stay in the picture's pixels. A face's landmarks alone determine its rotation, so any stored face (a
template in a gallery, a face of an album) can be cropped upright again without storing anything else."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.server.vision.detector import Box, Detection, Landmarks
from facewire.server.vision.image import Pixels


def whole_box(image: Pixels) -> Box:
    """The box of a picture that shows nothing but a face."""
    height, width = image.shape[:2]
    return 0.0, 0.0, float(width), float(height)


def square_crop(image: Pixels, box: Box, margin: float, size: tuple[int, int]) -> Pixels:
    """The box extended to a square of its longer side, enlarged by `margin` of that side in all, and resized to `size`
    (width, height).

    Where the square extends beyond the picture, border pixels are repeated: FaceNet's training crops were clipped, and
    black bars change an embedding more than smeared edges do. Shrinking averages areas, to prevent aliasing.
    """
    x, y, width, height = box
    side = max(width, height) * (1 + margin)
    left, top = round(x + width / 2 - side / 2), round(y + height / 2 - side / 2)
    right, bottom = left + max(1, round(side)), top + max(1, round(side))
    picture_height, picture_width = image.shape[:2]
    inside = image[
        min(max(top, 0), picture_height - 1) : min(max(bottom, 1), picture_height),
        min(max(left, 0), picture_width - 1) : min(max(right, 1), picture_width),
    ]
    # At least one row and column are inside, even if the square lies entirely outside.
    most = bottom - top - 1
    above, below, before, behind = (
        min(max(0, by), most) for by in (-top, bottom - picture_height, -left, right - picture_width)
    )
    if above or below or before or behind:
        bordered = cv2.copyMakeBorder(inside, above, below, before, behind, cv2.BORDER_REPLICATE)
        inside = np.asarray(bordered, np.uint8)
    shrinks = inside.shape[0] > size[1]
    resized = cv2.resize(inside, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


# ---- upright

STEP = 45
"""Degrees between two orientations: YuNet and FaceNet both tolerate half of that."""

UPRIGHT = 30
"""Degrees of roll up to which a face is left unturned, as all faces were before turning was introduced."""

LANDMARKS = 5

AROUND = 2.0
"""Side of the area that is turned, in longer sides of the box: more than any network's input covers."""

LARGEST = 800
"""Maximum side of that area in pixels: a face of 400 px exceeds every network's input, and turning more takes time."""


def roll(landmarks: Landmarks) -> float:
    """Degrees, -180 to 180, by which to turn a face clockwise so that its eyes are above its mouth."""
    right_eye, left_eye, _, right_mouth, left_mouth = np.array(landmarks, np.float64)
    x, y = (right_mouth + left_mouth) - (right_eye + left_eye)
    return math.degrees(math.atan2(x, y))


def turn_of(landmarks: Landmarks) -> int:
    """Degrees clockwise, a multiple of STEP from 0 to 315, by which a face is turned for the networks.

    0 up to UPRIGHT degrees of roll, and likewise around quarter turns: people lean their heads in turned pictures, too.
    Also 0 without the five landmarks that are needed, as in a gallery that came from elsewhere.
    """
    if len(landmarks) != LANDMARKS:
        return 0
    degrees = roll(landmarks)
    quarter = 90 * round(degrees / 90)
    if abs(degrees - quarter) <= UPRIGHT:
        return quarter % 360
    return (90 * math.floor(degrees / 90) + STEP) % 360


def upright(image: Pixels, face: Detection) -> tuple[Pixels, Detection]:
    """Pixels that show `face` upright, and the face in them: `image` and `face` themselves up to UPRIGHT degrees of
    roll, otherwise the turned area around the face."""
    degrees = turn_of(face.landmarks)
    if degrees == 0:
        return image, face
    side = max(face.box[2:]) * AROUND
    around = Surroundings(image, face.box, AROUND, min(LARGEST, max(2, round(side))))
    pixels, matrix = around.turned(degrees)
    return pixels, moved(face, matrix)


class Surroundings:
    """The square around a box, to be turned to any angle; `size` pixels wide, covering `around` longer sides of the
    box. Beyond the picture, its border pixels are repeated."""

    def __init__(self, image: Pixels, box: Box, around: float, size: int) -> None:
        x, y, width, height = box
        self._half = max(1, size // 2)
        # The source of the corners when turned by 45 degrees. Even sides, so that quarter turns move whole pixels.
        self._base_half = math.ceil(self._half * math.sqrt(2))
        side = max(2, round(max(width, height) * around * self._base_half / self._half))
        left, top = round(x + width / 2 - side / 2), round(y + height / 2 - side / 2)
        wanted = 2 * self._base_half
        self._pixels = square_crop(image, (left, top, side, side), 0.0, (wanted, wanted))
        scale = wanted / side
        self._to_base = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])

    def turned(self, degrees: int) -> tuple[Pixels, NDArray[np.float64]]:
        """The square turned clockwise about its centre, and the (2, 3) similarity from the picture's pixels to its
        own."""
        turn = about((0, 0), degrees)[:, :2]
        shift = self._half - turn @ np.full(2, self._base_half)
        # Our coordinates start at a pixel's corner, OpenCV's at its centre.
        warp = np.column_stack([turn, turn @ np.full(2, 0.5) + shift - 0.5])
        size = (2 * self._half, 2 * self._half)
        pixels = cv2.warpAffine(self._pixels, warp, size, borderMode=cv2.BORDER_REPLICATE)
        matrix = np.column_stack([turn @ self._to_base[:, :2], turn @ self._to_base[:, 2] + shift])
        return np.asarray(pixels, np.uint8), matrix


def about(middle: tuple[float, float], degrees: float) -> NDArray[np.float64]:
    """The (2, 3) similarity that turns clockwise by `degrees` about a point."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]).round(15)
    return np.column_stack([turn, np.array(middle) - turn @ np.array(middle)])


def moved(face: Detection, matrix: NDArray[np.float64]) -> Detection:
    """The face after a (2, 3) similarity. Boxes are axis-aligned: turned by an odd multiple of 45 degrees, a box
    becomes the square of its longer side around the same centre."""
    x, y, width, height = face.box
    middle = matrix[:, :2] @ (x + width / 2, y + height / 2) + matrix[:, 2]
    degrees = round(math.degrees(math.atan2(matrix[1, 0], matrix[0, 0])))
    if degrees % 90:
        width = height = max(width, height)
    elif degrees % 180:
        width, height = height, width
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    width, height = width * scale, height * scale
    points = np.array(face.landmarks) @ matrix[:, :2].T + matrix[:, 2]
    return replace(
        face,
        box=(float(middle[0] - width / 2), float(middle[1] - height / 2), float(width), float(height)),
        landmarks=tuple((float(px), float(py)) for px, py in points),
    )
