"""evaluate.py quality: what it spoils, whom it enrols, and how it adds up; the whole of it ran on LFW (accuracy.md)."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewire.server.errors import StartError
from lab.evaluation.degrading import SPOILERS, spoilt
from lab.evaluation.quality import _combined, _split
from tests.support.faces import drawn_face

BOX = (20.0, 20.0, 100.0, 120.0)


def test_the_same_seed_spoils_in_the_same_way() -> None:
    one, other = ([spoilt(drawn_face(), BOX, np.random.default_rng(7)) for _ in range(2)] for _ in range(2))
    assert one == other
    kinds = [spoilt(drawn_face(), BOX, choice)[0] for choice in [np.random.default_rng(1)] for _ in range(100)]
    assert set(kinds) == set(SPOILERS)


@pytest.mark.parametrize("kind", SPOILERS)
def test_every_way_of_spoiling_leaves_a_picture(kind: str) -> None:
    for seed in range(8):
        picture = SPOILERS[kind](drawn_face(), BOX, np.random.default_rng(seed))
        assert picture.dtype == np.uint8
        assert picture.ndim == 3
        assert min(picture.shape[:2]) > 10
        if kind != "jpeg":
            assert picture.shape != (160, 160, 3) or not np.array_equal(picture, drawn_face())


def test_what_is_cut_off_is_part_of_the_face() -> None:
    for seed in range(20):
        picture = SPOILERS["cut off"](drawn_face(), BOX, np.random.default_rng(seed))
        assert sorted(picture.shape[:2])[0] < 160 == sorted(picture.shape[:2])[1]


def arguments(folder: Path, **given: object) -> argparse.Namespace:
    return argparse.Namespace(**{"images": folder, "templates": 2, "half": None, **given})


def people(folder: Path, *counts: int) -> list[Path]:
    paths = []
    for person, count in enumerate(counts):
        for number in range(count):
            path = folder / f"P{person}" / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(cv2.imencode(".png", drawn_face(person))[1].tobytes())
            paths.append(path)
    return paths


def test_nobody_is_enrolled_and_a_stranger_and_no_picture_is_both_template_and_probe(tmp_path: Path) -> None:
    paths = people(tmp_path, 4, 1, 3, 2, 5)
    split = _split(paths, arguments(tmp_path), np.random.default_rng(0))
    enrolled, probes, strangers = (
        {path for _, path in split.gallery}, {path for _, path in split.probes}, set(split.strangers),
    )  # fmt: skip
    assert (len(enrolled), len(probes), len(strangers)) == (6, 6, 2)
    assert not enrolled & probes
    assert {path.parent.name for path in strangers} == {"P1", "P3"}
    assert {path.parent.name for path in enrolled} == {path.parent.name for path in probes} == {"P0", "P2", "P4"}


def test_the_halves_share_nobody(tmp_path: Path) -> None:
    paths = people(tmp_path, 4, 3, 1, 1)
    halves = [_split(paths, arguments(tmp_path, half=half), np.random.default_rng(0)) for half in (0, 1)]
    assert [{name for name, _ in split.gallery} for split in halves] == [{"P0"}, {"P1"}]
    assert [{path.parent.name for path in split.strangers} for split in halves] == [{"P2"}, {"P3"}]


def test_a_folder_with_too_few_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="not enough people with more than 2 pictures"):
        _split(people(tmp_path, 2, 1), arguments(tmp_path), np.random.default_rng(0))


def test_repeats_add_up() -> None:
    parts = [{"a": {"x": 1, "y": 2}}, {"a": {"x": 3}, "b": {"x": 5}}]
    assert _combined(parts, sum) == {"a": {"x": 4, "y": 2}, "b": {"x": 5}}
    assert _combined([{"r": 0.25}, {"r": 0.75}], lambda values: float(np.mean(values))) == {"r": 0.5}
