"""What the gate makes of drawings and of covered faces, from numbers that were measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewire.server.recognition.enrolment import LIMITS, doubt, in_words, shortcomings
from facewire.server.vision.appearance import MODEL, appearance_of, dark_eyes
from facewire.server.vision.quality import FaceQuality, looked_at
from tests.support.faces import drawn_face

GOOD = FaceQuality(side=120, sharpness=0.1, yaw=0.1, range=100, brightness=120, white=0, outside=0)


def smiley() -> np.ndarray:
    """A yellow disc with eyes and a mouth, as the middle of a crop."""
    image = np.full((160, 160, 3), 255, np.uint8)
    cv2.circle(image, (80, 80), 68, (255, 204, 60), -1)
    for x in (58, 102):
        cv2.ellipse(image, (x, 66), (8, 12), 0, 0, 360, (90, 60, 20), -1)
    cv2.ellipse(image, (80, 92), (34, 28), 0, 10, 170, (90, 60, 20), 6)
    return image


def test_a_smiley_that_the_detector_half_believes_is_no_face() -> None:
    quality = looked_at(GOOD, smiley(), detection=0.86)
    (found,) = shortcomings(quality, LIMITS)
    assert (found.reason, found.limit) == ("not_a_face", LIMITS.likeness)
    assert found.measured < found.limit
    assert "doesn't look like a face" in in_words([found])
    assert shortcomings(quality, LIMITS, ["not_a_face"]) == ()


def test_whatever_the_detector_hardly_believes_is_no_face() -> None:
    assert [one.reason for one in shortcomings(looked_at(GOOD, drawn_face(), detection=0.7), LIMITS)] == ["not_a_face"]


def test_nothing_is_said_of_a_face_where_it_was_not_looked_at() -> None:
    assert shortcomings(GOOD, LIMITS) == ()
    assert doubt(GOOD, LIMITS) is None


def test_a_covered_face_is_doubted_and_not_refused() -> None:
    quality = replace(GOOD, covered=1.4)
    assert shortcomings(quality, LIMITS) == ()
    found = doubt(quality, LIMITS)
    assert found is not None
    assert (found.reason, found.measured, found.limit) == ("covered", 1.4, 1.0)
    assert doubt(quality, LIMITS, ["covered"]) is None
    assert doubt(quality, LIMITS, ["all"]) is None


@pytest.mark.parametrize("skin", [50, 120, 220])
def test_dark_glasses_are_told_by_the_faces_own_light(skin: int) -> None:
    """Dark skin is no dark glass."""
    face = np.full((160, 160, 3), skin, np.uint8)
    assert dark_eyes(face) == 0
    for x in (60, 100):
        cv2.ellipse(face, (x, 64), (22, 16), 0, 0, 360, (skin // 5,) * 3, -1)
    assert dark_eyes(face) > 0.6


def test_the_model_is_small_and_needs_no_pickle() -> None:
    assert MODEL.stat().st_size < 100_000
    with np.load(MODEL, allow_pickle=False) as stored:
        assert set(stored) == {"mean", "deviation", "unlike", "unlike_origin", "cloth", "cloth_origin"}


def test_the_samples_faces_look_like_faces(sample: Path) -> None:
    paths = sorted((sample / "people").glob("*/*_0001.jpg"))
    assert paths
    for path in paths:
        image = cv2.cvtColor(np.asarray(cv2.imread(str(path))), cv2.COLOR_BGR2RGB)
        assert appearance_of(np.asarray(image, np.uint8)).dark_eyes < 0.5
