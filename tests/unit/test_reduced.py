"""Large photos are decoded at reduced scale where nothing is lost, and answers are in pixels of the whole picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.server.vision.analyser import Analyser
from facewire.server.vision.detector import Detection
from facewire.server.vision.embedder import Embedder
from facewire.server.vision.image import ImageLimits, Pixels, decode_image, decode_photo
from facewire.server.vision.models import MODELS
from tests.support.decoders import shared_decoder
from tests.unit.test_image import with_orientation

LIMITS = ImageLimits()


def jpeg(height: int, width: int) -> bytes:
    """Smooth colours: JPEG's own error is below what is compared."""
    rows, columns = np.mgrid[0:height, 0:width]
    image = np.stack([columns * 255 // width, rows * 255 // height, (rows + columns) % 251], axis=2).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", cv2.GaussianBlur(image, (0, 0), 8), [cv2.IMWRITE_JPEG_QUALITY, 95])[1])


@pytest.mark.parametrize(
    ("longer", "enough", "factor"),
    [(799, 400, 1), (800, 400, 2), (1599, 400, 2), (1600, 400, 4), (3200, 400, 8), (300, 400, 1)],
)
def test_as_much_is_kept_as_was_asked_for(longer: int, enough: int, factor: int) -> None:
    photo = decode_photo(jpeg(longer // 2 + 1, longer), LIMITS, enough)
    assert (photo.factor, photo.width, photo.height) == (factor, longer, longer // 2 + 1)
    assert photo.pixels.shape[1] == -(-longer // factor)


@pytest.mark.parametrize(
    ("height", "width", "factor"), [(400, 4000, 2), (4000, 400, 2), (200, 6400, 1), (800, 6400, 4)]
)
def test_a_panorama_keeps_its_rows(height: int, width: int, factor: int) -> None:
    """It is reduced as a picture that is as wide and twice as long would be."""
    assert decode_photo(jpeg(height, width), LIMITS, 400).factor == factor


def test_other_formats_are_never_reduced() -> None:
    data = bytes(cv2.imencode(".png", np.zeros((50, 1000, 3), np.uint8))[1])
    assert decode_photo(data, LIMITS, 100).factor == 1


def test_reduced_pixels_are_the_means_of_the_whole_ones() -> None:
    data = jpeg(600, 800)
    whole, photo = decode_image(data, LIMITS), decode_photo(data, LIMITS, 400)
    means = whole.reshape(300, 2, 400, 2, 3).mean(axis=(1, 3))
    assert np.abs(photo.pixels - means).mean() < 1.5


def test_a_reduced_photo_is_turned_as_exif_says() -> None:
    photo = decode_photo(with_orientation(jpeg(600, 800), 6), LIMITS, 400)
    assert (photo.width, photo.height, photo.factor) == (600, 800, 2)
    assert photo.pixels.shape == (400, 300, 3)


class TwoFaces:
    """Finds a large and a small face at fixed places of the whole picture, whatever scale it is shown at."""

    name, enough, sure = "two", 400, 0.0

    def glance(self, image: Pixels) -> list[Detection]:
        return self.detect(image)

    def detect(self, image: Pixels) -> list[Detection]:
        scale = image.shape[1] / 1600
        points = ((0.0, 0.0),) * 5
        large, small = Detection((100, 100, 700, 700), points, 0.9), Detection((1200, 300, 90, 120), points, 0.9)
        return [large.scaled(scale), small.scaled(scale)]


class Seeing:
    """Keeps crops as they are."""

    def crop(self, image: Pixels, face: Detection) -> Pixels:
        x, y, width, height = (round(value) for value in face.box)
        return np.asarray(cv2.resize(image[y : y + height, x : x + width], (160, 160), interpolation=cv2.INTER_AREA))

    def forward(self, crops: Sequence[Pixels]) -> NDArray[np.float32]:
        return np.stack([crop.reshape(-1)[:512].astype(np.float32) + 1 for crop in crops])


def test_small_faces_come_from_the_whole_picture_and_boxes_are_in_its_pixels() -> None:
    data = jpeg(1200, 1600)
    analyser = Analyser(TwoFaces(), Embedder(MODELS["Facenet512"].spec("0"), Seeing()), None, shared_decoder(), LIMITS)
    try:
        picture = analyser.faces(data)
    finally:
        analyser.close()
    assert (picture.width, picture.height) == (1600, 1200)
    large, small = picture.faces
    assert large.box == pytest.approx((100, 100, 700, 700))
    assert small.box == pytest.approx((1200, 300, 90, 120))
    whole = decode_image(data, LIMITS)
    assert np.array_equal(small.crop, Seeing().crop(whole, Detection((1200, 300, 90, 120), (), 1.0)))
    assert np.abs(large.crop.astype(int) - Seeing().crop(whole, Detection((100, 100, 700, 700), (), 1.0))).mean() < 2
