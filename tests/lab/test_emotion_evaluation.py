"""What is measured of the emotion network, and of which pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facewire.protocol.messages import EMOTIONS
from facewire.server.errors import StartError
from lab.evaluation.calibration import accuracy_interval, calibration_error, calibration_error_by_chance
from lab.evaluation.emotion import class_names, confusion, measure
from lab.evaluation.kin import kin_of
from lab.evaluation.pictures import labelled_pictures


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    right = np.array([True, True, True, False])
    assert calibration_error(confidence, right) == pytest.approx((2 * 0.05 + 2 * 0.05) / 4)
    assert calibration_error(np.array([1.0]), np.array([True])) == 0


def test_chance_alone_makes_a_calibration_error_that_falls_with_the_number_of_answers() -> None:
    choice = np.random.default_rng(4)
    few, many = choice.uniform(0.3, 1, 400), choice.uniform(0.3, 1, 40_000)
    assert 0.03 < calibration_error_by_chance(few) < 0.09
    assert calibration_error_by_chance(many) == pytest.approx(calibration_error_by_chance(few) / 10, rel=0.3)
    honest = calibration_error(few, choice.random(400) < few)
    assert honest == pytest.approx(calibration_error_by_chance(few), rel=0.6)


def test_the_interval_of_an_accuracy_by_hand() -> None:
    low, high = accuracy_interval(np.arange(100) < 80)
    assert (low, high) == pytest.approx((0.711, 0.867), abs=0.001)
    assert accuracy_interval(np.ones(10, bool))[0] == pytest.approx(0.722, abs=0.001)


def test_kin_are_found_across_blocks_and_nobody_has_kin_in_nothing() -> None:
    others = np.eye(4, dtype=np.float32)
    faces = np.tile(np.array([0.6, 0.8, 0, 0], np.float32), (1500, 1))
    faces[::2] = [0.71, 0, 0.7042, 0]
    assert kin_of(faces, others).tolist() == [False, True] * 750
    assert not kin_of(faces, others[:0]).any()


def test_the_report_counts_by_class() -> None:
    truth = np.array([0, 0, 3, 3])
    rows = np.full((4, 7), 0.05)
    rows[[0, 1, 2, 3], [0, 3, 3, 3]] = 0.7
    report = measure(truth, rows, EMOTIONS, 0.5)
    assert report["accuracy"] == 0.75
    assert report["recall"] == {"angry": 0.5, "happy": 1.0}
    assert report["n"] == 4
    assert confusion(truth, rows.argmax(1), 7)[0].tolist() == [1, 0, 0, 1, 0, 0, 0]


def test_pictures_are_found_at_any_depth_by_their_innermost_class(tmp_path: Path) -> None:
    for name in ("part/Happy/a.png", "part/sad/more/b.jpg", "6/c.png", "notes.txt"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    found = {str(picture.path): picture.label for picture in labelled_pictures(tmp_path, class_names(EMOTIONS))}
    assert found == {"part/Happy/a.png": "happy", "part/sad/more/b.jpg": "sad", "6/c.png": "angry"}


def test_a_picture_outside_every_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "joy").mkdir()
    (tmp_path / "joy/a.png").write_bytes(b"")
    with pytest.raises(StartError, match="no folder named after a class"):
        list(labelled_pictures(tmp_path, class_names(EMOTIONS)))
