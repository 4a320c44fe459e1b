"""Cutting a face out of a picture the way a network was trained to see it."""

from __future__ import annotations

import cv2
import numpy as np

from facewire.server.vision.detector import Box
from facewire.server.vision.image import Pixels


def whole_box(image: Pixels) -> Box:
    """The box of a picture that is a face and nothing else."""
    height, width = image.shape[:2]
    return 0.0, 0.0, float(width), float(height)


def square_crop(image: Pixels, box: Box, margin: float, size: tuple[int, int]) -> Pixels:
    """The box made square (its longer side), grown by `margin` of that side in all, resized to (width, height) `size`.

    Where the square leaves the picture, the border pixels are repeated: FaceNet's own training crops were clipped, and
    black bars move an embedding more than blurred edges do. Shrinking averages areas, so nothing aliases.
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
    # One row and one column are inside at least, also of a square that lies wholly outside.
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
