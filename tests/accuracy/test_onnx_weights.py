"""FaceNet's weights as an ONNX file serve as its Keras file does, and a gallery built from one opens with the other."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facewire.server.vision import deepface_models
from facewire.server.vision.emotion import EmotionSpec
from facewire.server.vision.facenet import converted, rounding_path
from facewire.server.vision.identity import canonical, reference_embeddings
from facewire.server.vision.models import DEFAULT_MODEL, model_card
from facewire.server.vision.opening import EMOTION_MODEL, VisionSettings, find_weights, open_embedder
from facewire.server.vision.quantisation import Rounding, fits
from facewire.server.vision.runtime import open_network, read_model
from facewire.server.vision.weights import WeightsFinder
from tests.support.server_process import PATIENCE_S, ROOT

CARD = model_card(DEFAULT_MODEL)


@pytest.fixture(scope="module")
def onnx_folder(weights_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FaceNet as `make bench` converts it, from the weights in `weights_dir`."""
    for package in ("tf2onnx", "tensorflow"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(
                f"{package}, which makes the ONNX file, is not installed (requirements.txt, requirements-dev.txt)"
            )
    folder = tmp_path_factory.mktemp("onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPFACE_HOME", str(weights_dir))
        command = (sys.executable, "-m", "lab.benchmarking.deepface_to_onnx", str(folder))
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S * 6, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_both_files_make_the_same_embeddings(weights_dir: Path, onnx_folder: Path, tmp_path: Path) -> None:
    opened = []
    for folder, suffix in ((weights_dir, ".h5"), (onnx_folder, ".onnx")):
        weights = find_weights(CARD, WeightsFinder(folder, None))
        assert weights.path.suffix == suffix
        opened.append(converted(CARD, weights, tmp_path))
    keras, onnx = opened
    assert keras.identity == onnx.identity == canonical(CARD)
    assert keras.has_maps and onnx.has_maps
    how = Rounding.load(rounding_path(CARD))
    assert all(fits(read_model(one.network), how) for one in opened)
    rows = [reference_embeddings(CARD, open_network(one.network, exact=True)) for one in opened]
    assert np.sum(rows[0] * rows[1], axis=1).min() > 1 - 1e-6


def test_the_emotion_head_rides_on_both(weights_dir: Path, onnx_folder: Path, tmp_path: Path) -> None:
    emotions = EmotionSpec.load(EMOTION_MODEL)
    crops = list(np.random.default_rng(3).integers(0, 256, (3, 160, 160, 3), np.uint8))
    settings = VisionSettings(cache_dir=tmp_path)
    embedders = [
        open_embedder(CARD, settings, WeightsFinder(folder, None), emotions) for folder in (weights_dir, onnx_folder)
    ]
    assert embedders[0].spec == embedders[1].spec
    (_, keras), (_, onnx) = (embedder.look(crops) for embedder in embedders)
    assert keras.shape == onnx.shape == (3, len(emotions.labels))
    assert np.abs(keras - onnx).max() < 0.05  # of logits that span about 5, by bfloat16 where the processor has it


def test_other_weights_keep_their_own_name_and_no_head(
    onnx_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a network of another training run would."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (requirements-dev.txt)")
    model = onnx.load(onnx_folder / CARD.files[0])
    for stored in model.graph.initializer:
        if len(stored.dims) == 4:
            values = onnx.numpy_helper.to_array(stored)
            noisy = values * np.random.default_rng(5).normal(1, 0.03, values.shape)
            stored.CopyFrom(onnx.numpy_helper.from_array(noisy.astype(np.float32), stored.name))
    onnx.save(model, tmp_path / CARD.files[0])
    finder = WeightsFinder(tmp_path, None)
    embedder = open_embedder(CARD, VisionSettings(cache_dir=tmp_path), finder, EmotionSpec.load(EMOTION_MODEL))
    assert embedder.spec == CARD.spec(find_weights(CARD, finder).sha256) != CARD.spec(str(canonical(CARD)))
    assert embedder.look([np.zeros((160, 160, 3), np.uint8)])[1].shape == (1, 0)
    assert "not the network that the emotion head was trained for" in caplog.text


def test_another_network_under_its_name_is_refused(tmp_path: Path) -> None:
    from facewire.server.errors import StartError

    (tmp_path / CARD.files[0]).write_bytes((ROOT / "data" / "models" / "emotion.onnx").read_bytes())
    with pytest.raises(StartError, match="does not hold the weights of Facenet512"):
        open_embedder(CARD, VisionSettings(cache_dir=tmp_path / "cache"), WeightsFinder(tmp_path, None))
    assert not list((tmp_path / "cache").iterdir())


def test_tensorflow_gives_the_network_the_same_name(weights_dir: Path) -> None:
    if deepface_models.tensorflow_version() is None:
        pytest.skip("TensorFlow is not installed (requirements.txt)")
    embedder = open_embedder(CARD, VisionSettings(runtime="tensorflow"), WeightsFinder(weights_dir, None))
    assert embedder.spec == CARD.spec(str(canonical(CARD)))
