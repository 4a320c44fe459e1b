"""A CLIP model of the form that open_clip's have as ONNX: what it is fed, and what is said where a file is unfit."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from facewire.server.errors import StartError
from facewire.server.vision.clip import Clip
from facewire.server.vision.image import Pixels
from tests.support.tiny_clip import CONTEXT, write_clip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip")


def most_megabytes(*, anew: bool = False) -> float:
    """The most memory that this process has held; `anew`: from now on."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    held = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert held is not None
    return int(held[1]) / 1024


def plain(red: int, green: int, blue: int, height: int = 40, width: int = 60) -> Pixels:
    return np.full((height, width, 3), (red, green, blue), np.uint8)


def test_a_picture_lies_near_what_describes_it(folder: Path) -> None:
    clip = Clip(folder)
    pictures = [clip.picture(plain(*colour)) for colour in ((200, 10, 10), (10, 200, 10), (10, 10, 200))]
    for number, text in enumerate(("Red", "a green thing", "BLUE and blue")):
        assert int(np.argmax([clip.text(text) @ picture for picture in pictures])) == number
    assert all(np.linalg.norm(picture) == pytest.approx(1) for picture in pictures)


def test_the_middle_of_a_picture_is_seen_unless_it_is_to_be_squashed(folder: Path) -> None:
    """As open_clip crops: 32 of 96 columns, of which the middle third is red."""
    wide = np.concatenate([plain(0, 0, 255, 32, 32), plain(255, 0, 0, 32, 32), plain(0, 0, 255, 32, 32)], axis=1)
    assert Clip(folder).picture(wide) @ (1, 0, 0, 0) > 0.98
    assert Clip(folder).picture(wide.transpose(1, 0, 2)) @ (1, 0, 0, 0) > 0.98
    config = folder / "visual" / "preprocess_cfg.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"resize_mode": "squash"}))
    assert Clip(folder).picture(wide) @ (0, 0, 1, 0) > 0.85


def test_a_strip_is_cut_before_it_is_scaled(folder: Path) -> None:
    """Scaled whole, it would be 32 by 6,400,000 pixels, and more with a real model."""
    strip = plain(255, 0, 0, 200_000, 1)
    strip[:99_000], strip[101_000:] = (0, 0, 255), (0, 0, 255)
    clip = Clip(folder)
    before = most_megabytes(anew=True)
    assert clip.picture(strip) @ (1, 0, 0, 0) > 0.98
    assert most_megabytes() - before < 100


def test_mean_and_deviation_are_the_models_own(folder: Path) -> None:
    config = folder / "visual" / "preprocess_cfg.json"
    config.write_text(json.dumps({"size": 32, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.5]}))
    assert Clip(folder).picture(plain(255, 0, 255)) == pytest.approx(np.array((2, -2, 1, 0)) / 3, abs=1e-5)


def test_a_long_text_is_cut_off_and_an_unknown_one_is_like_nothing(folder: Path) -> None:
    clip = Clip(folder)
    assert clip.text("red " * CONTEXT + "blue " * 1000) == pytest.approx(clip.text("red"))
    assert not clip.text("quux").any()


def test_another_model_has_another_fingerprint(folder: Path, tmp_path: Path) -> None:
    other = write_clip(tmp_path / "other")
    assert Clip(folder).fingerprint == Clip(other).fingerprint
    config = other / "visual" / "preprocess_cfg.json"
    config.write_text(json.dumps({"size": 32}))
    assert Clip(folder).fingerprint != Clip(other).fingerprint
    before = Clip(folder).fingerprint
    (folder / "visual" / "model.onnx.data").write_bytes(b"weights in a file of their own")
    assert Clip(folder).fingerprint != before


@pytest.mark.parametrize("name", ["visual/model.onnx", "textual/tokenizer.json"])
def test_what_is_missing_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(StartError, match=f"{name} missing; docs/text-search.md"):
        Clip(folder)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("visual/model.onnx", "no network", "can't be read as a network"),
        ("visual/preprocess_cfg.json", "[1]", "holds no JSON object"),
        ("visual/preprocess_cfg.json", '{"size": 7}', "is damaged"),
        ("visual/preprocess_cfg.json", '{"size": [1, 2, 3]}', "is damaged"),
        ("visual/preprocess_cfg.json", '{"size": 32, "std": ["a", "b", "c"]}', "is damaged"),
        ("visual/preprocess_cfg.json", '{"size": 64}', "doesn't take an input of"),
        ("visual/preprocess_cfg.json", '{"resize_mode": "longest"}', "must be shortest or squash"),
        ("textual/tokenizer.json", "{}", "can't be read as a tokenizer"),
    ],
)
def test_what_is_unfit_is_said(folder: Path, name: str, text: str, said: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(StartError, match=said):
        Clip(folder)
