"""Crops a face from a picture the way its network was trained to see it."""

from __future__ import annotations

import cv2
import numpy as np

from facewire.server.vision.detector import Box
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
