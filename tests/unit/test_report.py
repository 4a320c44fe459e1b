"""An answer in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from facewire.client.report import ASCII, BLOCKS, bars_for, describe
from facewire.protocol.messages import EmotionAnswer, Identify
from tests.support.fake_service import identified


def lines(image: bytes = b"a", **changes: Any) -> list[str]:
    answer = identified(Identify(image))
    faces = tuple(replace(face, **changes) for face in answer.faces)
    return describe("a.jpg", replace(answer, faces=faces), candidates=False, bars=ASCII)


def test_counts() -> None:
    assert lines(b"nobody") == ["a.jpg: no face found"]
    assert lines()[0] == "a.jpg: 1 face"
    two = identified(Identify(b"a"))
    assert describe("x", replace(two, faces=two.faces * 2), candidates=False, bars=ASCII)[0] == "x: 2 faces"


@pytest.mark.parametrize("decision", ["unknown", "ambiguous"])
def test_without_a_name_the_decision_is_told(decision: str) -> None:
    assert decision in lines(name=None, decision=decision)[1]


def test_an_empty_gallery_has_no_similarity() -> None:
    assert "nobody enrolled" in lines(name=None, decision="unknown", similarity=None)[1]


def test_an_uncertain_emotion_has_a_question_mark_and_an_unasked_one_nothing() -> None:
    unsure = EmotionAnswer("sad", 0.26, False, {"sad": 0.26})
    assert lines(emotion=unsure)[1].endswith("sad?      ###.......  26%")
    assert lines(emotion=None)[1].rstrip().endswith(")")


@pytest.mark.parametrize(
    ("turned", "said"),
    [(90, "(turned 90 degrees to the left)"), (315, "(turned 45 degrees to the right)"), (180, "(upside down)")],
)
def test_a_face_that_did_not_stand_upright_is_said_to(turned: int, said: str) -> None:
    assert lines(turned=turned)[1].endswith(said)
    assert "turned" not in lines()[1]


@pytest.mark.parametrize(("share", "cells"), [(0.0, 0), (0.04, 0), (0.5, 5), (1.0, 10), (1.7, 10), (-1.0, 0)])
def test_bars(share: float, cells: int) -> None:
    assert BLOCKS.draw(share) == "█" * cells + "░" * (10 - cells)


@pytest.mark.parametrize(
    ("encoding", "bars"),
    [("utf-8", BLOCKS), ("cp437", BLOCKS), ("ascii", ASCII), ("latin-1", ASCII), (None, ASCII), ("no such", ASCII)],
)
def test_bars_that_the_terminal_has(encoding: str | None, bars: object) -> None:
    assert bars_for(encoding) is bars


def test_a_name_can_not_drive_the_terminal() -> None:
    assert lines(name="\x1b[2JEve\n李雷")[1].split()[1] == "\\x1b[2JEve\\x0a李雷"


def test_the_similarity_stands_beside_what_it_had_to_be() -> None:
    assert "similarity  0.412 (needs  0.633)" in lines(similarity=0.412, threshold=0.633)[1]
