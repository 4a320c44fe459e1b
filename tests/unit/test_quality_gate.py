"""What the gate refuses, with its reasons and numbers; the limits' proof is in docs/decisions/0029."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewire.protocol.gallery_messages import Acceptable, Refusal, Shortcoming
from facewire.server.maintenance.build.report import GATED, Reason
from facewire.server.recognition.enrolment import LIMITS, PROFILE, in_words, shortcomings
from facewire.server.vision.quality import FaceQuality, quality_of
from tests.support.faces import drawn_face

FRONTAL = ((60.0, 70.0), (100.0, 70.0), (80.0, 95.0), (65.0, 120.0), (95.0, 120.0))
PROFILED = ((95.0, 70.0), (105.0, 70.0), (120.0, 95.0), (100.0, 120.0), (105.0, 120.0))
GOOD = FaceQuality(side=120, sharpness=0.1, yaw=0.1, range=100, brightness=120, white=0, outside=0)
BAD = FaceQuality(side=10, sharpness=0.001, yaw=3.0, range=5, brightness=20, white=0.8, outside=0.5, likeness=0.6)


def spoilt(how: str) -> FaceQuality:
    """A drawn face of 160 pixels in a picture of 200, spoilt."""
    face, box, landmarks = drawn_face(), (20.0, 20.0, 100.0, 120.0), FRONTAL
    match how:
        case "blurred":
            face = np.asarray(cv2.GaussianBlur(face, (0, 0), 7), np.uint8)
        case "too_dark":
            face = (face * 0.06).astype(np.uint8)
        case "too_bright":
            face = np.clip(face * 3.5, 0, 255).astype(np.uint8)
        case "too_small":
            box = (20.0, 20.0, 18.0, 22.0)
        case "turned_away":
            landmarks = PROFILED
        case "partly_outside":
            box = (-50.0, 20.0, 100.0, 120.0)
    return quality_of(face, box, landmarks, 200, 200)


def test_a_good_face_passes() -> None:
    assert shortcomings(spoilt("not at all"), LIMITS) == ()


@pytest.mark.parametrize("reason", ["blurred", "too_dark", "too_bright", "too_small", "turned_away", "partly_outside"])
def test_a_spoilt_face_is_refused_with_its_number(reason: str) -> None:
    quality = spoilt(reason)
    found = shortcomings(quality, LIMITS)
    assert [one.reason for one in found] == [reason]
    assert found[0].limit in asdict(LIMITS).values()
    assert found[0].measured in (*asdict(quality).values(), PROFILE)
    assert found[0].measured != found[0].limit
    assert reason.replace("_", " ") in in_words(found)
    assert shortcomings(quality, LIMITS, [reason]) == ()
    assert shortcomings(quality, LIMITS, ["all"]) == ()


def test_everything_that_is_wrong_is_said_and_only_what_is_accepted_is_forgiven() -> None:
    everything = [one.reason for one in shortcomings(BAD, LIMITS)]
    assert everything == [
        "too_small",
        "blurred",
        "turned_away",
        "too_dark",
        "too_bright",
        "partly_outside",
        "not_a_face",
    ]
    left = shortcomings(BAD, LIMITS, ["blurred", "too_dark"])
    assert [one.reason for one in left] == ["too_small", "turned_away", "too_bright", "partly_outside", "not_a_face"]
    assert in_words(left) == (
        "the face is too small (10 px, at least 24); the face is turned away (by 3.00, at most 2.00); the face is too"
        " bright (80% of it white, at most 60%); the face is partly outside the picture (50% of it, at most 33%);"
        " this doesn't look like a face (likeness 0.60, at least 0.80): send a better picture"
    )


def test_a_profile_has_a_number_that_travels() -> None:
    (found,) = shortcomings(replace(GOOD, yaw=float("inf")), LIMITS)
    assert found == Shortcoming("turned_away", PROFILE, LIMITS.yaw)


@given(
    quality=st.builds(
        FaceQuality,
        side=st.floats(1, 200), sharpness=st.floats(0, 1), yaw=st.floats(0, 5), range=st.floats(0, 255),
        brightness=st.floats(0, 255), white=st.floats(0, 1), outside=st.floats(0, 1),
    )
)  # fmt: skip
def test_what_is_refused_is_on_the_wrong_side_and_a_better_face_is_refused_for_no_more(quality: FaceQuality) -> None:
    found = {one.reason: one for one in shortcomings(quality, LIMITS)}
    for reason, one in found.items():
        too_little = reason in ("too_small", "blurred", "too_dark")
        assert (one.measured < one.limit) if too_little else (one.measured > one.limit)
    better = replace(
        quality,
        side=quality.side * 1.5,
        sharpness=quality.sharpness * 1.5,
        yaw=quality.yaw / 2,
        white=quality.white / 2,
        outside=quality.outside / 2,
    )
    assert {one.reason for one in shortcomings(better, LIMITS)} <= set(found)


def test_reasons_have_one_name_everywhere() -> None:
    assert set(get_args(Acceptable)) == {*get_args(Refusal), "all"}
    settled = {"several_faces", "duplicate", "covered"}  # by create_db itself, and said
    assert set(GATED) == set(get_args(Refusal)) - settled
    assert {one.reason for one in shortcomings(BAD, LIMITS)} | {Reason.ELSEWHERE} == set(GATED)
