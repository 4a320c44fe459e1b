"""What is done around a network: normalising its input, and making its output unit vectors and templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from facewire.server.spec import Crop, EmbeddingSpec
from facewire.server.vision.detector import Detection
from facewire.server.vision.embedder import NORMALISATIONS, Embedder, FaceNetEngine, unit_rows
from facewire.server.vision.image import Pixels
from facewire.server.vision.runtime import Floats

SPEC = EmbeddingSpec(
    model="Test",
    weights_sha256="0" * 64,
    crop=Crop("square", 0.0),
    colour="RGB",
    normalisation="(x-127.5)/128",
    input_size=(4, 4),
    dimension=3,
    template_views=1,
)


class CornerEngine:
    """Sees three corners of a crop; so a face and its mirror image differ."""

    def __init__(self) -> None:
        self.seen = 0

    def crop(self, image: Pixels, face: Detection) -> Pixels:
        x, y, width, height = (int(value) for value in face.box)
        return image[y : y + height, x : x + width]

    def forward(self, crops: Sequence[Pixels]) -> Floats:
        self.seen += len(crops)
        return np.array([[crop[0, 0, 0], crop[0, -1, 0], crop[-1, 0, 0]] for crop in crops], np.float32)


def crops(count: int = 5) -> list[Pixels]:
    rng = np.random.default_rng(3)
    return [rng.integers(1, 255, (4, 4, 3), dtype=np.uint8) for _ in range(count)]


def test_probes_are_unit_vectors_in_the_networks_direction() -> None:
    embeddings = Embedder(SPEC, CornerEngine()).probes(crops())
    assert embeddings.dtype == np.float32
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(1, abs=1e-6)
    raw = CornerEngine().forward(crops())
    assert np.allclose(embeddings * np.linalg.norm(raw, axis=1, keepdims=True), raw, rtol=1e-5)


def test_one_view_makes_a_template_of_the_probe() -> None:
    engine = CornerEngine()
    embedder = Embedder(SPEC, engine)
    assert np.array_equal(embedder.templates(crops()), embedder.probes(crops()))
    assert engine.seen == 2 * 5


def test_two_views_make_the_mean_direction() -> None:
    engine = CornerEngine()
    templates = Embedder(replace(SPEC, template_views=2), engine).templates(crops())
    assert engine.seen == 2 * 5
    probes = Embedder(SPEC, CornerEngine())
    for template, crop in zip(templates, crops(), strict=True):
        face, mirrored = probes.probes([crop, np.ascontiguousarray(crop[:, ::-1])])
        assert np.linalg.norm(template) == pytest.approx(1, abs=1e-6)
        # As near to the one view as to the other, and between them.
        assert float(template @ face) == pytest.approx(float(template @ mirrored), abs=1e-6)
        assert float(template @ face) >= float(face @ mirrored)


@pytest.mark.parametrize("views", [1, 2])
def test_no_crops_give_no_embeddings(views: Literal[1, 2]) -> None:
    engine = CornerEngine()
    embedder = Embedder(replace(SPEC, template_views=views), engine)
    assert embedder.probes([]).shape == (0, 3)
    assert embedder.templates([]).shape == (0, 3)
    assert engine.seen == 0


class TalkativeEngine(CornerEngine):
    """Tells two more numbers of a crop than its embedding has."""

    def forward(self, crops: Sequence[Pixels]) -> Floats:
        told = np.array([[crop.max(), crop.min()] for crop in crops], np.float32)
        return np.hstack([super().forward(crops), told])


def test_what_else_a_pass_tells_is_no_part_of_the_embedding() -> None:
    embedder = Embedder(SPEC, TalkativeEngine())
    embeddings, others = embedder.look(crops())
    assert np.array_equal(embeddings, Embedder(SPEC, CornerEngine()).probes(crops()))
    assert np.array_equal(embeddings, embedder.probes(crops()))
    assert others.tolist() == [[crop.max(), crop.min()] for crop in crops()]


def test_most_passes_tell_nothing_else() -> None:
    assert Embedder(SPEC, CornerEngine()).look(crops())[1].shape == (5, 0)
    assert Embedder(SPEC, CornerEngine()).look([])[1].shape == (0, 0)


def test_a_row_of_zeros_stays_one_without_a_warning() -> None:
    assert np.array_equal(unit_rows(np.zeros((1, 3), np.float32)), np.zeros((1, 3)))


def test_the_fixed_normalisation() -> None:
    centred = NORMALISATIONS["(x-127.5)/128"](np.array([[[[0.0, 127.5, 255.0]]]], np.float32))
    assert centred.ravel() == pytest.approx([-127.5 / 128, 0, 127.5 / 128])
    assert centred.dtype == np.float32


def test_the_normalisation_by_picture_knows_no_neighbours() -> None:
    """facenet's `prewhiten`: mean 0 and deviation 1, each picture by itself."""
    rng = np.random.default_rng(1)
    batch = rng.integers(0, 255, (3, 8, 8, 3)).astype(np.float32)
    standardised = NORMALISATIONS["per image: (x-mean)/std"](batch)
    assert standardised.dtype == np.float32
    for picture, alone in zip(standardised, batch, strict=True):
        assert picture.mean() == pytest.approx(0, abs=1e-5)
        assert picture.std() == pytest.approx(1, abs=1e-4)
        assert np.allclose(picture, (alone - alone.mean()) / alone.std(), atol=1e-5)


def test_a_flat_picture_is_not_divided_by_zero() -> None:
    flat = np.full((1, 8, 8, 3), 200, np.float32)
    assert np.array_equal(NORMALISATIONS["per image: (x-mean)/std"](flat), np.zeros_like(flat))


def test_facenet_is_fed_what_its_spec_says() -> None:
    fed: list[Floats] = []

    def network(batch: Floats) -> Floats:
        fed.append(batch)
        return np.ones((len(batch), 3), np.float32)

    engine = FaceNetEngine(SPEC, network)
    image = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    crop = engine.crop(image, Detection((2.0, 2.0, 4.0, 4.0), (), 1.0))
    assert np.array_equal(crop, image[2:6, 2:6])  # RGB as decoded
    engine.forward([crop, crop])
    (batch,) = fed
    assert batch.shape == (2, 4, 4, 3)
    assert np.allclose(batch[1], (crop.astype(np.float64) - 127.5) / 128)
