"""square_crop against the plain definition: pixel by pixel, the nearest pixel of the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facewire.server.vision.alignment import square_crop
from facewire.server.vision.detector import Box

SIZE = (32, 32)


def noise(height: int = 60, width: int = 80) -> np.ndarray:
    """Blurred noise: every place looks different, and half a pixel's shift shows."""
    image = np.random.default_rng(5).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(image, (3, 3), 0), np.uint8)


def oracle(image: np.ndarray, box: Box, margin: float, size: tuple[int, int]) -> np.ndarray:
    """The square around the box's middle, each of its pixels the nearest that the picture has; then resized."""
    x, y, width, height = box
    side = max(width, height) * (1 + margin)
    left, top = round(x + width / 2 - side / 2), round(y + height / 2 - side / 2)
    pixels = max(1, round(side))
    square = np.zeros((pixels, pixels, 3), np.uint8)
    for row in range(pixels):
        for column in range(pixels):
            nearest_row = min(max(top + row, 0), image.shape[0] - 1)
            nearest_column = min(max(left + column, 0), image.shape[1] - 1)
            square[row, column] = image[nearest_row, nearest_column]
    filtering = cv2.INTER_AREA if pixels > size[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, size, interpolation=filtering), np.uint8)


BOXES: dict[str, Box] = {
    "inside": (20.0, 10.0, 24.0, 30.0),
    "between pixels": (20.4, 10.7, 24.3, 30.9),
    "wide": (10.0, 20.0, 40.0, 12.0),
    "the whole picture": (0.0, 0.0, 80.0, 60.0),
    "over the left edge": (-10.0, 20.0, 24.0, 24.0),
    "over the top": (30.0, -8.0, 24.0, 24.0),
    "over the right edge": (70.0, 20.0, 24.0, 24.0),
    "over the bottom": (30.0, 50.0, 24.0, 24.0),
    "over a corner": (68.0, 48.0, 30.0, 30.0),
    "over all four edges": (-20.0, -20.0, 120.0, 100.0),
    "left of the picture": (-60.0, 20.0, 24.0, 24.0),
    "above the picture": (30.0, -90.0, 24.0, 24.0),
    "right of the picture": (130.0, 20.0, 24.0, 24.0),
    "below the picture": (30.0, 150.0, 24.0, 24.0),
    "beyond a corner": (150.0, 150.0, 40.0, 40.0),
    "touching from outside": (80.0, 60.0, 20.0, 20.0),
    "three pixels": (40.0, 30.0, 3.0, 2.0),
    "less than a pixel": (40.2, 30.2, 0.3, 0.4),
    "nothing": (40.0, 30.0, 0.0, 0.0),
}


@pytest.mark.parametrize("margin", [0.0, 0.15, -0.2])
@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_it_is_the_plain_definition(box: Box, margin: float) -> None:
    image = noise()
    assert np.array_equal(square_crop(image, box, margin, SIZE), oracle(image, box, margin, SIZE))


def test_a_size_is_width_and_height() -> None:
    assert square_crop(noise(), BOXES["inside"], 0.0, (20, 30)).shape == (30, 20, 3)


def test_a_picture_of_one_pixel() -> None:
    image = np.full((1, 1, 3), 9, np.uint8)
    assert np.array_equal(square_crop(image, (0.0, 0.0, 1.0, 1.0), 0.15, SIZE), np.full((32, 32, 3), 9, np.uint8))


def test_the_picture_is_left_alone() -> None:
    image = noise()
    before = image.copy()
    crop = square_crop(image, (20.0, 10.0, 32.0, 32.0), 0.0, SIZE)
    crop[:] = 0
    assert np.array_equal(image, before)
