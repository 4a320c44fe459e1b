"""Picks the face that a picture is about."""

from __future__ import annotations

import math
from collections.abc import Sequence

from facewire.server.errors import NoFace
from facewire.server.vision.detector import Box
from facewire.server.vision.engine import Picture


def face_meant(picture: Picture, at: tuple[float, float] | None = None) -> int:
    """The index of the face at a point (x, y) of a picture, or of its main face without a point. Raises NoFace."""
    boxes = [face.box for face in picture.faces]
    if not boxes:
        raise NoFace("no face was found: send a picture that shows one")
    there = [index for index, box in enumerate(boxes) if at is None or _contains(box, *at)]
    if at is not None and not there:
        raise NoFace(f"no face was found at ({at[0]:g}, {at[1]:g})")
    return there[main_face([boxes[index] for index in there], picture.width, picture.height)]


def main_face(boxes: Sequence[Box], width: int, height: int) -> int:
    """The index of the largest central face among `boxes`, in a picture of `width` x `height` pixels.

    The face with the greatest product of area and closeness to the picture's centre wins, where closeness falls from 1
    in the centre to 0 in the corners; the earlier box wins a tie. So of two faces side by side, the larger one is
    meant; a passer-by at the edge must be much larger than the sitter to win; and a single face always wins. Raises
    ValueError if there are no boxes.
    """
    reach = math.hypot(width, height) / 2

    def weight(index: int) -> float:
        x, y, w, h = boxes[index]
        away = math.hypot(x + w / 2 - width / 2, y + h / 2 - height / 2)
        return w * h * (1 - away / reach)

    return max(range(len(boxes)), key=weight)


def _contains(box: Box, x: float, y: float) -> bool:
    left, top, width, height = box
    return left <= x < left + width and top <= y < top + height
