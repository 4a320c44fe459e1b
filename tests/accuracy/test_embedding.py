"""Both runtimes give one embedding, and DeepFace's other models the one that DeepFace gives."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facewire.server.vision import deepface_models
from facewire.server.vision.analyser import Analyser
from facewire.server.vision.detector import Detection
from facewire.server.vision.embedder import Embedder
from facewire.server.vision.image import ImageLimits, Pixels, decode_image
from facewire.server.vision.models import model_card
from facewire.server.vision.opening import VisionSettings, open_analyser

SAME = 0.999  # cosine


@pytest.fixture(scope="module")
def pictures(shared: Path) -> list[bytes]:
    """One each of twelve people."""
    return [min(person.iterdir()).read_bytes() for person in sorted((shared / "lfw").iterdir())[100:1300:100]]


def test_both_runtimes_give_the_same_embeddings(facenet: Analyser, weights_dir: Path, pictures: list[bytes]) -> None:
    crops = [facenet.faces(picture).faces[0].crop for picture in pictures]
    settings = VisionSettings(weights_dir=weights_dir, precision="f32", emotion="off", downloads=False)
    with (
        closing(open_analyser(settings)) as exact,
        closing(open_analyser(replace(settings, runtime="tensorflow"))) as tensorflow,
    ):
        assert tensorflow.spec == exact.spec == facenet.spec  # so one gallery serves all
        for ours, theirs in (
            (exact.probes(crops), tensorflow.probes(crops)),
            (exact.templates(crops), tensorflow.templates(crops)),
        ):
            assert ours.shape == theirs.shape == (12, 512)
            assert np.sum(ours * theirs, axis=1).min() > SAME
    strangers = facenet.probes(crops) @ facenet.probes(crops).T
    assert strangers[~np.eye(12, dtype=bool)].max() < 0.6  # so the agreement above is no constant


@pytest.fixture(scope="module")
def openface(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DeepFace home with an OpenFace of random weights: DeepFace's own architecture, saved where it looks."""
    import h5py
    from deepface.commons import weight_utils
    from deepface.models.facial_recognition.tf import OpenFace
    from keras.src.legacy.saving import legacy_h5_format

    home = tmp_path_factory.mktemp("openface")
    path = home / ".deepface" / "weights" / "openface_weights.h5"
    path.parent.mkdir(parents=True)

    def spread(model: Any, weight_file: str) -> Any:
        """Random weights, of the size that neither dies nor explodes from layer to layer; no biases."""
        rng = np.random.default_rng(1)
        for layer in model.layers:
            if layer.get_weights() and "bn" not in layer.name:
                shapes = [value.shape for value in layer.get_weights()]
                scales = [(2 / np.prod(shape[:-1])) ** 0.5 if len(shape) > 1 else 0 for shape in shapes]
                layer.set_weights([rng.normal(0, scale, shape) for scale, shape in zip(scales, shapes, strict=True)])
        return model

    with pytest.MonkeyPatch.context() as patch:  # of DeepFace's: it would load what isn't there yet
        patch.setattr(weight_utils, "download_weights_if_necessary", lambda **_: "none")
        patch.setattr(weight_utils, "load_model_weights", spread)
        model = OpenFace.load_model()
    with h5py.File(path, "w") as file:  # the format of DeepFace's files; save_weights writes only Keras 3's own
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return home


@pytest.fixture(scope="module")
def theirs(openface: Path) -> Any:
    """DeepFace's `represent` for that home."""
    from deepface.modules import representation

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPFACE_HOME", str(openface))
        yield representation.represent


@pytest.fixture(scope="module")
def ours(openface: Path) -> Embedder:
    card = model_card("OpenFace")
    path = openface / ".deepface" / "weights" / card.weights_file
    return Embedder(card.spec("0" * 64), deepface_models.DeepFaceEmbedder(card, path))


def read(data: bytes) -> Pixels:
    return decode_image(data, ImageLimits())


def test_deepfaces_own_models_are_fed_as_deepface_feeds_them(
    facenet: Analyser, ours: Embedder, theirs: Any, pictures: list[bytes]
) -> None:
    crops, expected = [], []
    for picture in pictures[:6]:
        found = facenet.faces(picture).faces[0]
        crop = ours.crop(read(picture), Detection(found.box, found.landmarks, found.detection))
        (face,) = theirs(crop[:, :, ::-1], model_name="OpenFace", detector_backend="skip", enforce_detection=False)
        crops.append(crop)
        expected.append(face["embedding"])
    embeddings = ours.probes(crops)
    directions = np.asarray(expected) / np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.sum(embeddings * directions, axis=1).min() > SAME
    # Random weights give all faces nearly one direction, so what sets each apart from the others is compared too.
    apart, expected_apart = (rows - rows.mean(axis=0) for rows in (embeddings, directions))
    lengths = np.linalg.norm(apart, axis=1) * np.linalg.norm(expected_apart, axis=1)
    assert (np.sum(apart * expected_apart, axis=1) / lengths).min() > SAME


def test_a_face_is_cut_as_deepface_cuts_it(facenet: Analyser, ours: Embedder, pictures: list[bytes]) -> None:
    """DeepFace adds a black border, half the picture wide, before it cuts; ours cuts without, and gets the same."""
    from deepface.models.Detector import FacialAreaRegion
    from deepface.modules import detection

    for picture in pictures:
        image = read(picture)
        found = facenet.faces(picture).faces[0]
        border = image.shape[0] // 2, image.shape[1] // 2
        framed = cv2.copyMakeBorder(image, border[0], border[0], border[1], border[1], cv2.BORDER_CONSTANT)
        x, y, width, height = (int(value) for value in found.box)
        right_eye, left_eye = ((int(px) + border[1], int(py) + border[0]) for px, py in found.landmarks[:2])
        region = FacialAreaRegion(x + border[1], y + border[0], width, height, left_eye, right_eye, found.detection)
        cut = detection.extract_face(
            facial_area=region, img=framed, align=True, expand_percentage=0,
            width_border=border[1], height_border=border[0], detector_backend="yunet",
        )  # fmt: skip
        expected = np.asarray(cut.img, np.float64)
        crop = ours.crop(image, Detection(found.box, found.landmarks, found.detection))
        assert crop.shape == expected.shape
        assert np.abs(crop - expected).mean() < 6
