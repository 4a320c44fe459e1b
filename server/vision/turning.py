"""Finds faces in any orientation: the picture is turned until their eyes are above their mouths.

YuNet was trained on upright faces. It still finds half of those that lie on their side and nearly all that are upside
down, but with lower scores and wrong landmarks: eyes where the mouth is. So a face with a low score is examined again
in several orientations, on a small patch around it; and a picture without a face that scores TURNED_SCORE is searched
again in the other three orientations. docs/decisions/0039 has results and costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.server.vision.alignment import STEP, Surroundings, moved, roll, turn_of
from facewire.server.vision.detector import NMS_OVERLAP, Box, Detection, Detector, overlap
from facewire.server.vision.image import Pixels

PATCH, ROOM = 192, 2.6
"""The patch examined again: its side in pixels, and in longer sides of the face's box."""

DOUBTFUL = 0.88
"""Below this score a face may be in any orientation; from here to the detector's `sure` it can only be upside down, or
lean the way its landmarks say."""

LEANS = 8
"""Degrees of roll from which landmarks, which show a third of the true angle here, are taken as a sign of 45
degrees."""

BETTER = 0.02
"""Another orientation's score must exceed the upright one's on the same patch by this much: in the orientation they
were found in, LFW's faces score within 0.02 of the best."""

NEVER_WORSE = 0.05
"""A turned face may score this much less on its patch than it did in the picture, with other surroundings."""

TURNED_SCORE = 0.75
"""Minimum score of a face that isn't upright: in 2,700 pictures without a face, the extra searches find one more."""

MOST_DOUBTED = 32
"""Faces of one picture that are examined again, the largest first: enough to detect a turned group photo."""

_TURN = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}

_BACK = {
    90: lambda width, height: [[0, 1, 0], [-1, 0, height]],
    180: lambda width, height: [[-1, 0, width], [0, -1, height]],
    270: lambda width, height: [[0, -1, width], [1, 0, 0]],
}
"""Maps a picture turned clockwise back to the original, which has the given width and height."""


class AnyWayUp:
    """Wraps a detector of upright faces to find turned ones, too. Thread-safe if that detector is."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.name, self.enough, self.sure = detector.name, detector.enough, detector.sure

    def detect(self, image: Pixels) -> list[Detection]:
        """All faces, largest first, in pixels of `image`; `server.vision.alignment` turns them upright."""
        found = self._detector.detect(image)
        faces = [self._settled(image, face) for face in found[:MOST_DOUBTED]] + found[MOST_DOUBTED:]
        sides = {90 * round(turn_of(face.landmarks) / 90) % 360 for face in faces} - {0}
        if all(face.score < min(TURNED_SCORE, self.sure) for face in faces):
            sides = set(_BACK)
        for side in sorted(sides):
            faces += self._seen_from(side, image, faces)
        return found if faces == found else sorted(_apart(faces), key=lambda face: (-face.area, face.box))

    def glance(self, image: Pixels) -> list[Detection]:
        """As the wrapped detector's: upright faces only."""
        return self._detector.glance(image)

    def _seen_from(self, side: int, image: Pixels, known: Sequence[Detection]) -> list[Detection]:
        """Faces found only in the picture turned clockwise by `side` degrees."""
        height, width = image.shape[:2]
        back = np.array(_BACK[side](width, height), np.float64)
        turned = np.asarray(cv2.rotate(image, _TURN[side]), np.uint8)  # dlib rejects the strides of NumPy's views
        sure = [face for face in known if face.score >= TURNED_SCORE]
        faces = []
        for face in (moved(face, back) for face in self._detector.detect(turned) if face.score >= TURNED_SCORE):
            if all(overlap(face.box, other.box) < NMS_OVERLAP for other in sure):
                faces.append(face if face.score >= self.sure else self._best(self._looks(image, face.box)))
        return [face for face in faces if face and face.score >= TURNED_SCORE]

    def _settled(self, image: Pixels, face: Detection) -> Detection:
        """The face as seen in its best orientation; the same object if it is upright."""
        if face.score >= self.sure:
            return face
        if face.score >= DOUBTFUL:
            leaning = roll(face.landmarks)
            sides = [0, 180, *([STEP if leaning > 0 else 360 - STEP] if abs(leaning) > LEANS else [])]
            if turn_of((self._best(self._looks(image, face.box, sides)) or face).landmarks) == 0:
                return face
        best = self._best(self._looks(image, face.box))
        turned = best is not None and best.score >= max(TURNED_SCORE, face.score - NEVER_WORSE)
        return best if best and turned and turn_of(best.landmarks) else face

    def _best(self, looks: dict[int, Detection]) -> Detection | None:
        """The look with the best score, with a preference for upright."""
        return max(looks.items(), key=lambda look: look[1].score + BETTER * (look[0] == 0))[1] if looks else None

    def _looks(self, image: Pixels, box: Box, sides: Sequence[int] = range(0, 360, STEP)) -> dict[int, Detection]:
        """By orientation (degrees clockwise): the face found at the box, in pixels of `image`."""
        around = Surroundings(image, box, ROOM, PATCH)
        seen = {}
        for side in sides:
            pixels, matrix = around.turned(side)
            near = [face for face in self._detector.glance(pixels) if _in_the_middle(face.box)]
            if near:
                best = max(near, key=lambda face: face.score)
                seen[side] = moved(best, _inverse(matrix))
        return seen


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.invertAffineTransform(matrix), np.float64)


def _in_the_middle(box: Box) -> bool:
    """Whether this is the face that the patch was cut around, and not a neighbour."""
    x, y, width, height = box
    side = PATCH / ROOM
    away = math.hypot(x + width / 2 - PATCH / 2, y + height / 2 - PATCH / 2)
    return away < side / 2 and side / 2 < max(width, height) < side * 2


def _apart(faces: Sequence[Detection]) -> list[Detection]:
    """The face with the best score of each overlapping group."""
    kept: list[Detection] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(overlap(face.box, other.box) < NMS_OVERLAP for other in kept):
            kept.append(face)
    return kept
