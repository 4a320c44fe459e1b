"""Which way up a face is, and turning it: against turning the whole picture, and by geometry."""

from __future__ import annotations

import numpy as np
import pytest

from facewire.server.vision.alignment import Surroundings, about, moved, turn_of, upright
from facewire.server.vision.detector import Detection

FACE = Detection((80.0, 60.0, 40.0, 60.0), ((90, 80), (110, 80), (100, 95), (93, 110), (107, 110)), 0.9)
MIDDLE = (100.0, 90.0)


def leaning(degrees: float) -> Detection:
    """FACE as it is in a picture that must be turned clockwise by `degrees`."""
    return moved(FACE, about(MIDDLE, -degrees))


@pytest.mark.parametrize(
    ("degrees", "turn"),
    [(0, 0), (20, 0), (-29, 0), (35, 45), (-40, 315), (65, 90), (90, 90), (115, 90), (135, 135), (180, 180), (200, 180),
     (-90, 270), (-135, 225)],
)  # fmt: skip
def test_landmarks_say_by_how_much_a_face_is_turned(degrees: float, turn: int) -> None:
    assert turn_of(leaning(degrees).landmarks) == turn


def test_an_upright_face_is_left_exactly_as_it_is() -> None:
    image = np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    pixels, face = upright(image, leaning(25))
    assert pixels is image
    assert face == leaning(25)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_quarter_turn_moves_whole_pixels(degrees: int) -> None:
    """What is cut out of a turned picture is, pixel by pixel, what the upright one shows."""
    image = np.random.default_rng(2).integers(0, 256, (180, 200, 3), dtype=np.uint8)
    turned = np.ascontiguousarray(np.rot90(image, degrees // 90))  # counterclockwise: so it must be turned clockwise
    height, width = image.shape[:2]
    there = {90: [[0, 1, 0], [-1, 0, width]], 180: [[-1, 0, width], [0, -1, height]], 270: [[0, -1, height], [1, 0, 0]]}
    face = moved(FACE, np.array(there[degrees], np.float64))
    assert turn_of(face.landmarks) == degrees
    pixels, standing = upright(turned, face)
    x, y, w, h = (round(value) for value in standing.box)
    assert (w, h) == (40, 60)
    assert np.array_equal(pixels[y : y + h, x : x + w], image[60:120, 80:120])
    assert turn_of(standing.landmarks) == 0


def test_there_and_back_is_where_it_was() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    around = Surroundings(image, FACE.box, 2.6, 192)
    for degrees in range(0, 360, 45):
        _, matrix = around.turned(degrees)
        back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
        face = moved(moved(FACE, matrix), back)
        assert np.allclose(face.landmarks, FACE.landmarks)
        assert np.allclose(np.array(face.box[:2]) + np.array(face.box[2:]) / 2, MIDDLE)
        assert max(face.box[2:]) == pytest.approx(60)


def test_a_face_at_the_edge_goes_on_beyond_it() -> None:
    image = np.full((100, 100, 3), 90, np.uint8)
    face = moved(Detection((-10, -10, 40, 60), FACE.landmarks, 0.9), about((10, 20), 180))
    pixels, standing = upright(image, face)
    assert np.all(pixels == 90)
    assert standing.box[2:] == pytest.approx((40, 60))
