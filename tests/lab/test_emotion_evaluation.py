"""What is measured of the emotion network, and of which pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facewire.protocol.messages import EMOTIONS
from facewire.server.errors import StartError
from lab.evaluation.calibration import calibration_error
from lab.evaluation.emotion import class_names, confusion, measure
from lab.evaluation.pictures import labelled_pictures


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    right = np.array([True, True, True, False])
    assert calibration_error(confidence, right) == pytest.approx((2 * 0.05 + 2 * 0.05) / 4)
    assert calibration_error(np.array([1.0]), np.array([True])) == 0


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
