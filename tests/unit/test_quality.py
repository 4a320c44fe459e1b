"""What is measured of a face: drawn faces whose numbers are known, and how they change as a picture gets worse."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facewire.server.vision.quality import outside, quality_of, sharpness, yaw
from tests.support.faces import drawn_face

Pixels = NDArray[np.uint8]
some = settings(max_examples=25, deadline=None)
FRONTAL = ((30.0, 40.0), (70.0, 40.0), (50.0, 60.0), (35.0, 80.0), (65.0, 80.0))


def test_a_frontal_face_in_good_light_has_nothing_wrong() -> None:
    quality = quality_of(drawn_face(), (20, 20, 100, 120), FRONTAL, 200, 200)
    assert (quality.side, quality.yaw, quality.white, quality.outside) == (120, 0, 0, 0)
    assert quality.sharpness > 0.05
    assert quality.range > 60


@some
@given(seed=st.integers(0, 2**32 - 1), one=st.floats(0, 8), more=st.floats(0.3, 8))
def test_more_blur_never_makes_a_face_sharper(seed: int, one: float, more: float) -> None:
    face = drawn_face(seed)
    blurred = [cv2.GaussianBlur(face, (0, 0), sigma) if sigma > 0.1 else face for sigma in (one, one + more)]
    less, least = (sharpness_of(picture) for picture in blurred)
    assert least <= less * 1.02  # pixels are rounded to levels


@some
@given(seed=st.integers(0, 2**32 - 1), angle=st.floats(0, 180), length=st.integers(9, 25))
def test_a_hand_that_shook_blurs_in_any_direction(seed: int, angle: float, length: int) -> None:
    face = drawn_face(seed)
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    middle = ((length - 1) / 2, (length - 1) / 2)
    turned = cv2.warpAffine(kernel, cv2.getRotationMatrix2D(middle, angle, 1), (length, length))
    shaken = cv2.filter2D(face, -1, turned / turned.sum())
    assert sharpness_of(shaken) < 0.7 * sharpness_of(face)


@some
@given(seed=st.integers(0, 2**32 - 1), gain=st.floats(0.3, 1.0), level=st.integers(0, 60))
def test_light_and_skin_are_no_blur(seed: int, gain: float, level: int) -> None:
    """Half the light, or half the reflection, leaves sharpness as it is but for rounding to levels."""
    face = drawn_face(seed)
    dimmer = np.clip(face * gain + level * (1 - gain), 0, 255).round().astype(np.uint8)
    assert sharpness_of(dimmer) == pytest.approx(sharpness_of(face), rel=0.1)


@pytest.mark.parametrize("side", [64, 96, 160, 320])
def test_sharpness_does_not_depend_on_resolution(side: int) -> None:
    face = cv2.GaussianBlur(drawn_face(size=640), (0, 0), 8)
    shown = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    assert sharpness_of(shown) == pytest.approx(sharpness_of(face), rel=0.15)


def test_a_flat_patch_has_no_sharpness_and_no_range() -> None:
    flat = np.full((16, 16, 3), 120, np.uint8)
    quality = quality_of(flat, (0, 0, 16, 16), FRONTAL, 16, 16)
    assert (quality.sharpness, quality.range, quality.white) == (0, 0, 0)


@some
@given(
    turn=st.floats(-1.3, 1.3), roll=st.floats(-math.pi, math.pi), scale=st.floats(0.1, 50), depth=st.floats(0.3, 0.7)
)
def test_yaw_is_the_tangent_of_the_turn(turn: float, roll: float, scale: float, depth: float) -> None:
    """A head with eyes half a unit to either side and a nose `depth` before them, turned and seen from far away."""
    points = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.4, depth]])
    turned = points @ np.array([[math.cos(turn), 0, math.sin(turn)], [0, 1, 0], [-math.sin(turn), 0, math.cos(turn)]]).T
    rolled = turned[:, :2] @ np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]]).T
    landmarks = tuple((float(x), float(y)) for x, y in rolled * scale + 7)
    assert yaw(landmarks) == pytest.approx(2 * depth * abs(math.tan(turn)), abs=1e-6, rel=1e-6)


def test_eyes_in_one_point_are_a_profile() -> None:
    assert yaw(((5.0, 5.0), (5.0, 5.0), (9.0, 8.0))) == math.inf


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ((10, 10, 40, 40), 0),
        ((-10, 10, 40, 40), 0.25),
        ((80, 80, 40, 40), 0.75),
        ((200, 10, 40, 40), 1),
        ((0, 0, 0, 0), 1),
    ],
)
def test_the_share_outside_the_picture(box: tuple[float, float, float, float], share: float) -> None:
    assert outside(box, 100, 100) == pytest.approx(share)


@some
@given(gains=st.tuples(st.floats(0.05, 6), st.floats(0.05, 6)))
def test_more_light_never_gives_less_white(gains: tuple[float, float]) -> None:
    face = drawn_face().astype(np.float64)
    darker, brighter = (np.clip(face * gain, 0, 255).astype(np.uint8) for gain in sorted(gains))
    one, other = (quality_of(crop, (20, 20, 100, 120), FRONTAL, 200, 200) for crop in (darker, brighter))
    assert one.white <= other.white
    assert one.brightness <= other.brightness


def sharpness_of(face: NDArray[np.generic]) -> float:
    """Of an RGB picture."""
    return sharpness(np.asarray(cv2.cvtColor(np.asarray(face, np.uint8), cv2.COLOR_RGB2GRAY), np.uint8))
