"""Which of several faces a picture is about."""

from __future__ import annotations

import math
from collections.abc import Sequence

from facewire.server.errors import NoFace
from facewire.server.vision.detector import Box
from facewire.server.vision.engine import Picture


def face_meant(picture: Picture, at: tuple[float, float] | None = None) -> int:
    """The index of the face at a point of a picture, or of its main face where no point is given. Raises NoFace."""
    boxes = [face.box for face in picture.faces]
    if not boxes:
        raise NoFace("no face was found: send a picture that shows one")
    there = [index for index, box in enumerate(boxes) if at is None or _contains(box, *at)]
    if at is not None and not there:
        raise NoFace(f"no face was found at ({at[0]:g}, {at[1]:g})")
    return there[main_face([boxes[index] for index in there], picture.width, picture.height)]


def main_face(boxes: Sequence[Box], width: int, height: int) -> int:
    """The index of the largest central face among `boxes`, in a picture of `width` x `height` pixels.

    The rule: a face's area times its closeness to the picture's centre, which falls from 1 in the centre to 0 in the
    corners; the greatest product wins, the earlier box where two are equal. So of two faces side by side the larger
    one is meant, a passer-by at the edge must be a good deal larger than the sitter to be taken for them, and a
    single face always wins. Raises ValueError without any box.
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
