"""Feeding and reading the emotion network, with networks of a few lines in its place."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.protocol.messages import EMOTIONS
from facewire.server.errors import StartError
from facewire.server.vision.emotion import Calibration, EmotionReader, EmotionSpec, FaceCrop, HeadSpec
from facewire.server.vision.models import DEFAULT_MODEL, MODELS
from facewire.server.vision.opening import EMOTION_MODEL
from facewire.server.vision.runtime import open_network

PLAIN = Calibration(((1.0, 1.0),), certain_at=0.5)
SPEC = EmotionSpec("test", Path("none"), EMOTIONS, 44, side=1.0, down=0.0, calibration=PLAIN)


def faces(*pixels: NDArray[np.float32], side: float = 44) -> list[FaceCrop]:
    return [FaceCrop(face, side) for face in pixels]


BLACK = np.zeros((1, 44, 44), np.float32)
GREY = np.full((1, 44, 44), 0.5, np.float32)


def leaning_left(batch: NDArray[Any]) -> NDArray[np.float32]:
    """The first logit is the brightness of the left half, the second that of the right; the others are low."""
    logits = np.full((len(batch), 7), -9, np.float32)
    logits[:, 0] = batch[..., :22].mean((1, 2, 3))
    logits[:, 1] = batch[..., 22:].mean((1, 2, 3))
    return logits


def write_model(folder: Path, **changes: object) -> Path:
    network = folder / "emotion.onnx"
    network.write_bytes(b"a network")
    fields = {
        "name": "test",
        "version": 1,
        "onnx": {"file": "emotion.onnx", "sha256": hashlib.sha256(b"a network").hexdigest()},
        "labels": list(EMOTIONS),
        "input": {"size": 44},
        "crop": {"side": 0.9, "down": 0.03},
        "temperature": {"48": 1.2, "100": 0.9},
        "certain_at": 0.6,
    }
    path = folder / "emotion.json"
    path.write_text(json.dumps(fields | changes))
    return path


def test_the_mirrored_view_counts_as_much_as_the_plain_one() -> None:
    crop = np.zeros((1, 44, 44), np.float32)
    crop[..., :22] = 1
    reader = EmotionReader(SPEC, leaning_left)
    plain, mirrored = reader.probabilities(faces(crop)), reader.probabilities(faces(crop[..., ::-1]))
    assert np.allclose(plain, mirrored)
    assert plain[0, 0] == pytest.approx(plain[0, 1])


def test_scores_sum_to_one_and_the_label_is_their_largest() -> None:
    def surprised(batch: NDArray[Any]) -> NDArray[np.float32]:
        return np.tile(np.array([0, 0, 0, 0, 0, 3, 0], np.float32), (len(batch), 1))

    (emotion,) = EmotionReader(SPEC, surprised).read(faces(BLACK))
    assert sum(emotion.scores.values()) == pytest.approx(1)
    assert emotion.label == "surprise"
    assert emotion.confidence == emotion.scores["surprise"] == pytest.approx(np.exp(3) / (np.exp(3) + 6))
    assert emotion.certain


def test_below_the_stated_confidence_the_label_is_given_but_not_certain() -> None:
    reader = EmotionReader(SPEC, lambda batch: np.tile(np.array([0, 0, 0, 1, 0, 0, 0], np.float32), (len(batch), 1)))
    (emotion,) = reader.read(faces(BLACK))
    assert (emotion.label, emotion.certain) == ("happy", False)


def test_a_higher_temperature_is_less_sure_and_changes_no_label() -> None:
    cool = EmotionReader(SPEC, leaning_left).probabilities(faces(GREY))
    spec = replace(SPEC, calibration=Calibration(((1.0, 3.0),), 0.5))
    warm = EmotionReader(spec, leaning_left).probabilities(faces(GREY))
    assert warm.max() < cool.max()
    assert warm.argmax() == cool.argmax()


def test_the_temperature_goes_from_that_of_small_faces_to_that_of_large_ones() -> None:
    calibration = Calibration(((50.0, 2.0), (200.0, 0.5)), 0.5)
    sides = np.array([5, 50, 100, 200, 4000], float)
    assert calibration.temperature(sides) == pytest.approx([2, 2, 1, 0.5, 0.5])
    reader = EmotionReader(replace(SPEC, calibration=calibration), leaning_left)
    small, large = reader.probabilities(faces(GREY, side=50) + faces(GREY, side=200))
    assert small.max() < large.max()


def test_a_crop_remembers_how_many_pixels_it_was_cut_from() -> None:
    reader = EmotionReader(replace(SPEC, side=0.5), leaning_left)
    picture = np.zeros((300, 200, 3), np.uint8)
    assert reader.crop(picture, (10, 10, 80, 120)).side == 60
    assert reader.whole(picture).side == 300
    assert reader.crop(picture, (0, 0, 0, 0)).side == 1  # what is not there has no logarithm


WITH_HEAD = replace(SPEC, head=HeadSpec(Path("none"), "Facenet512", "maps", 0.6, 1.0, Calibration(((1.0, 0.5),), 0.9)))


def test_the_heads_logits_count_by_their_weight_at_a_temperature_of_their_own() -> None:
    head_logits = np.array([[0, 0, 0, 2, 0, 0, 1]], np.float32)
    own = leaning_left(GREY[None])
    expected = np.exp((0.6 * head_logits + 0.4 * own) / 0.5)
    given = EmotionReader(WITH_HEAD, leaning_left).probabilities(faces(GREY), head_logits)
    assert np.allclose(given, expected / expected.sum())


def test_where_no_head_rides_the_network_answers_as_if_there_were_none() -> None:
    alone = EmotionReader(SPEC, leaning_left).read(faces(GREY))
    for head_logits in (None, np.zeros((1, 0), np.float32)):
        assert EmotionReader(WITH_HEAD, leaning_left).read(faces(GREY), head_logits) == alone
    (emotion,) = EmotionReader(WITH_HEAD, leaning_left).read(faces(GREY), np.zeros((1, 7), np.float32))
    assert not emotion.certain and emotion.confidence < 0.9  # WITH_HEAD's own certain_at


def test_no_faces_no_emotions() -> None:
    assert EmotionReader(SPEC, leaning_left).read([]) == []


def test_the_crop_shrinks_by_area() -> None:
    checkerboard = np.indices((440, 440)).sum(0) % 2 * 255
    crop = EmotionReader(SPEC, leaning_left).crop(checkerboard.astype(np.uint8), (0, 0, 440, 440)).pixels
    assert crop.shape == (1, 44, 44)
    assert np.abs(crop - 0.5).max() < 0.01  # sampling points instead would give 0s and 1s


def test_the_crop_goes_on_beyond_the_edge_of_the_picture() -> None:
    picture = np.full((60, 60, 3), 200, np.uint8)
    crop = EmotionReader(SPEC, leaning_left).crop(picture, (-30, -30, 80, 80)).pixels
    assert np.allclose(crop, 200 / 255, atol=0.005)


def test_the_crop_follows_the_specs_framing() -> None:
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[100:] = 255
    spec = replace(SPEC, side=0.5, down=0.25)
    crop = EmotionReader(spec, leaning_left).crop(picture, (60, 60, 80, 80)).pixels  # the square is 100..140 in y
    assert crop.min() == 1


def test_grey_and_coloured_pictures_of_one_face_give_one_crop() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (90, 70), np.uint8)
    reader = EmotionReader(SPEC, leaning_left)
    colour = reader.crop(np.repeat(grey[..., None], 3, axis=2), (10, 10, 50, 60))
    assert np.allclose(reader.crop(grey, (10, 10, 50, 60)).pixels, colour.pixels, atol=1 / 255)


def test_a_spec_is_read_from_the_file_beside_its_network(tmp_path: Path) -> None:
    spec = EmotionSpec.load(write_model(tmp_path))
    assert (spec.name, spec.side) == ("test 1", 0.9)
    assert spec.calibration == Calibration(((48.0, 1.2), (100.0, 0.9)), 0.6)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"onnx": {"file": "emotion.onnx", "sha256": "0" * 64}}, "sha256 differs"),
        ({"onnx": {"file": "gone.onnx", "sha256": ""}}, "can't be read"),
        ({"temperature": "warm"}, "does not describe"),
        ({"temperature": {"large": 1}}, "does not describe"),
        ({"crop": {}}, "does not describe"),
    ],
)
def test_a_spec_that_does_not_fit_its_network_is_refused(
    tmp_path: Path, changes: dict[str, object], complaint: str
) -> None:
    with pytest.raises(StartError, match=complaint):
        EmotionSpec.load(write_model(tmp_path, **changes))


def test_a_head_is_read_from_the_same_file_and_must_be_the_one_described(tmp_path: Path) -> None:
    (tmp_path / "head.onnx").write_bytes(b"a head")
    file = {"file": "head.onnx", "sha256": hashlib.sha256(b"a head").hexdigest()}
    numbers = {
        "model": "Facenet512",
        "maps": "a layer",
        "weight": 0.6,
        "temperature": {"48": 1.1},
        "certain_at": 0.7,
        "whole": 1.2,
    }
    spec = EmotionSpec.load(write_model(tmp_path, head={"onnx": file} | numbers))
    calibration = Calibration(((48.0, 1.1),), 0.7)
    assert spec.head == HeadSpec(tmp_path / "head.onnx", "Facenet512", "a layer", 0.6, 1.2, calibration)
    with pytest.raises(StartError, match=r"head\.onnx is not the network"):
        EmotionSpec.load(write_model(tmp_path, head={"onnx": file | {"sha256": "0" * 64}} | numbers))


def test_a_missing_spec_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="can't be read"):
        EmotionSpec.load(tmp_path / "emotion.json")


def test_the_shipped_model_is_whole_small_and_speaks_the_wires_emotions() -> None:
    spec = EmotionSpec.load(EMOTION_MODEL)
    assert set(spec.labels) == set(EMOTIONS)
    assert spec.head is not None and (spec.head.model, spec.head.maps) == (DEFAULT_MODEL, MODELS[DEFAULT_MODEL].maps)
    assert spec.onnx.stat().st_size + spec.head.onnx.stat().st_size <= 3_000_000  # the limit
    reader = EmotionReader(spec, open_network(spec.onnx, threads=1))
    noise = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), np.uint8)
    crops = [reader.whole(picture) for picture in noise]
    together, alone = reader.probabilities(crops), [reader.probabilities([crop])[0] for crop in crops]
    assert np.allclose(together, alone, atol=1e-5)  # nine faces, more than a batch, get what each gets alone


def test_the_shipped_head_reads_the_maps_of_its_model() -> None:
    head = EmotionSpec.load(EMOTION_MODEL).head
    assert head is not None
    maps = np.abs(np.random.default_rng(0).normal(size=(9, 8, 8, 896))).astype(np.float32)
    network = open_network(head.onnx, threads=1)
    together = network(maps)
    assert together.shape == (9, len(EMOTIONS)) and together.std(0).min() > 0
    assert np.allclose(together, np.concatenate([network(row[None]) for row in maps]), atol=1e-4)
