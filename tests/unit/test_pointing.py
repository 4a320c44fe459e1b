"""A detector that is told where to look."""

from __future__ import annotations

import numpy as np
import pytest

from facewire.server.vision.detector import Box, Detection
from facewire.server.vision.image import Pixels
from facewire.server.vision.pointing import pointed_at

FACE: Box = (300.0, 200.0, 40.0, 50.0)
GREY, WHITE, SEEN = 100, 255, 20


class OfWhite:
    """Finds the white rectangle, if it is at least SEEN pixels high in what it is shown."""

    name, enough, sure = "white", 1000, 0.9

    def detect(self, image: Pixels) -> list[Detection]:
        rows, columns = np.flatnonzero((image > 200).any(axis=(1, 2))), np.flatnonzero((image > 200).any(axis=(0, 2)))
        if len(rows) < SEEN:
            return []
        box = (float(columns[0]), float(rows[0]), float(len(columns)), float(len(rows)))
        return [Detection(box, ((box[0], box[1]),) * 5, 0.9)]

    glance = detect


@pytest.fixture
def image() -> Pixels:
    pixels = np.full((480, 640, 3), GREY, np.uint8)
    pixels[200:250, 300:340] = WHITE
    return pixels


@pytest.mark.parametrize(
    "drawn", [FACE, (290.0, 185.0, 60.0, 80.0), (305.0, 205.0, 30.0, 40.0)], ids=["exact", "generous", "tight"]
)
def test_the_face_in_a_drawn_box_is_where_it_is(image: Pixels, drawn: Box) -> None:
    face = pointed_at(OfWhite(), image, drawn)
    assert face is not None
    assert face.box == pytest.approx(FACE, abs=1)
    assert face.landmarks[0] == pytest.approx(FACE[:2], abs=1)


@pytest.mark.parametrize("drawn", [(240.0, 200.0, 40.0, 50.0), (10.0, 10.0, 30.0, 30.0), (600.0, 440.0, 40.0, 40.0)])
def test_a_face_beside_the_box_is_not_meant(image: Pixels, drawn: Box) -> None:
    assert pointed_at(OfWhite(), image, drawn) is None
