"""What the benchmark compares is what it says: targets, synthetic crowds, the group photo, the command line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.vision.models import MODELS
from lab import benchmark
from lab.benchmarking import photo
from lab.benchmarking.report import Section, Target, report_json, report_text
from lab.benchmarking.vectors import Crowd, crowd_database

SPEC = MODELS["Facenet512"].spec("0" * 64)


@pytest.mark.parametrize(
    ("measured", "at_least", "met"),
    [(20.0, True, True), (19.99, True, False), (20.0, False, True), (20.01, False, False)],
)
def test_a_target_is_held_to_without_rounding(measured: float, at_least: bool, met: bool) -> None:
    target = Target("speed", measured, 20, at_least=at_least)
    assert target.met is met
    assert target.line().startswith("met" if met else "NOT MET")


def test_a_report_has_every_row_and_ends_with_every_target() -> None:
    one = Section(
        "one", ("", "ms"), [("a long name", "1.0"), ("b", "100.0")], ["a note"], [Target("fast", 1, 2)], {"a": 1}
    )
    two = Section("two", ("", "MB"), [("c", "3")], targets=[Target("small", 5, 6, at_least=False, unit="MB")])
    text = report_text({"one": one, "two": two})
    assert text.index("== one") < text.index("a note") < text.index("== two") < text.index("== targets")
    ends = {len(line) for line in text.splitlines() if line.startswith(("a long", "b "))}
    assert len(ends) == 1, "numbers of a column end at one place"
    told = report_json({"one": one, "two": two})
    assert [(target["what"], target["met"]) for target in told["targets"]] == [("fast", False), ("small", True)]
    assert told["sections"]["one"] == {"a": 1}


def test_a_crowd_is_spread_as_facenets_people_are() -> None:
    crowd = Crowd(3000)
    drawn = list(crowd.pictures())
    owners = np.concatenate([some for some, _ in drawn])
    vectors = np.concatenate([some for _, some in drawn])
    assert vectors.shape == (3000, 512)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    first = [np.flatnonzero(owners == person)[:2] for person in range(crowd.people)]
    pairs = np.array([rows for rows in first if len(rows) == 2])
    assert np.mean(np.sum(vectors[pairs[:, 0]] * vectors[pairs[:, 1]], axis=1)) == pytest.approx(0.72, abs=0.02)
    nearest = (crowd.strangers(100) @ vectors.T).max(axis=1)
    assert nearest.max() < 0.7, "strangers are nobody's pictures"
    again = next(crowd.pictures())[1]
    assert np.array_equal(again, drawn[0][1])


def test_a_crowds_gallery_is_built_once_and_holds_it_in_order(tmp_path: Path) -> None:
    crowd = Crowd(50)
    path = crowd_database(tmp_path, crowd, SPEC)
    built = path.stat().st_mtime_ns
    assert crowd_database(tmp_path, crowd, SPEC) == path
    assert path.stat().st_mtime_ns == built
    vectors = next(crowd.pictures())[1]
    with SqliteGallery.open(path) as gallery:
        assert gallery.counts().templates == 50
        found = [gallery.search(vector, 1)[0].template_id - 1 for vector in vectors]
    assert found == list(range(50))


def test_the_group_photo_has_twelve_megapixels_and_twelve_people(sample: Path) -> None:
    portraits = [next(iter(sorted(person.iterdir()))) for person in sorted((sample / "people").iterdir())]
    image = np.asarray(cv2.imdecode(np.frombuffer(photo.compose(portraits), np.uint8), cv2.IMREAD_COLOR))
    assert image.shape == (3000, 4000, 3)
    for number, path in enumerate(portraits):
        across, down = number % 4, number // 4
        place = image[down * 1000 + 350 : down * 1000 + 650, across * 1000 + 350 : across * 1000 + 650]
        face = np.asarray(cv2.imread(str(path)))[80:170, 80:170]
        assert np.abs(place.mean(axis=(0, 1)) - face.mean(axis=(0, 1))).max() < 30


def test_an_unknown_section_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        benchmark.main(["--only", "answers,speed"])
    assert stopped.value.code == 2
    assert "there is no section 'speed'" in capsys.readouterr().err


def test_pictures_that_are_not_there_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["--pictures", str(tmp_path / "none"), "--only", "start"]) == 2
    assert "no such file or folder" in capsys.readouterr().err
