"""A network is told by what it computes, not by the bytes of its file."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.server.gallery.search.cohort import DEFAULT_PATH, Cohort
from facewire.server.vision.identity import SAME, canonical, identity, reference_embeddings, reference_pictures
from facewire.server.vision.models import MODELS
from facewire.server.vision.runtime import Floats, Network

CARD = MODELS["Facenet512"]
OWN = "e" * 64


@pytest.fixture(scope="module")
def known() -> Floats:
    """(pictures, 512): what the known network makes of the reference pictures."""
    with np.load(DEFAULT_PATH.parent / "facenet512-reference.npz") as stored:
        return np.asarray(stored["embeddings"])


def saying(rows: Floats) -> Network:
    """A network that gives these embeddings for the reference pictures."""

    def network(batch: NDArray[Any]) -> Floats:
        return np.asarray(rows[: len(batch)], np.float32)

    return network


def turned(rows: Floats, cosine: float) -> Floats:
    """The first row turned to this cosine, the others left."""
    aside = np.random.default_rng(1).standard_normal(rows.shape[1])
    aside -= (aside @ rows[0]) * rows[0]
    aside /= np.linalg.norm(aside)
    changed = rows.copy()
    changed[0] = cosine * rows[0] + (1 - cosine**2) ** 0.5 * aside
    return changed


def test_the_known_network_has_its_name_whatever_its_file(known: Floats) -> None:
    assert identity(CARD, saying(known), OWN) == canonical(CARD)
    assert identity(CARD, saying(7 * known), OWN) == canonical(CARD)  # lengths say nothing
    with_head = np.concatenate([known, np.ones((len(known), 7), np.float32)], axis=1)
    assert identity(CARD, saying(with_head), OWN) == canonical(CARD)


def test_it_is_the_name_that_the_cohort_has() -> None:
    name = canonical(CARD)
    assert name is not None
    assert Cohort.load(DEFAULT_PATH, CARD.spec(name)) is not None


def test_one_picture_seen_otherwise_makes_another_network(known: Floats) -> None:
    assert identity(CARD, saying(turned(known, SAME + 2e-5)), OWN) == canonical(CARD)
    assert identity(CARD, saying(turned(known, SAME - 2e-5)), OWN) == OWN


def test_another_training_run_is_another_network(known: Floats) -> None:
    mixed = np.linalg.qr(np.random.default_rng(0).standard_normal((512, 512)))[0].astype(np.float32)
    assert identity(CARD, saying(known @ mixed), OWN) == OWN
    assert identity(CARD, saying(np.zeros_like(known)), OWN) == OWN
    assert identity(CARD, saying(np.full_like(known, np.nan)), OWN) == OWN


def test_a_model_that_nothing_is_stored_of_goes_by_its_file() -> None:
    assert canonical(MODELS["Facenet"]) is None
    assert identity(MODELS["Facenet"], saying(np.ones((8, 128), np.float32)), OWN) == OWN


def test_the_pictures_are_those_that_the_stored_embeddings_are_of() -> None:
    pictures = reference_pictures(CARD.input_size)
    assert pictures.shape == (8, 160, 160, 3)
    assert pictures.dtype == np.uint8
    digest = hashlib.sha256(pictures.tobytes()).hexdigest()
    assert digest == "399285d37ed915c42089ecb51193e85dc4c1df6e295e175c57be9b567fc0bd0d"


def test_the_stored_embeddings_tell_the_pictures_apart(known: Floats) -> None:
    assert np.triu(known @ known.T, 1).max() < 0.95
    assert np.array_equal(reference_embeddings(CARD, saying(known)).round(5), known.round(5))
