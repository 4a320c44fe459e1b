"""EmbeddingSpec: what the gallery writes down is what it reads, and no difference goes unnoticed."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from facewire.server.spec import Crop, EmbeddingSpec
from facewire.server.vision.models import MODELS

SPEC = MODELS["Facenet512"].spec("ab" * 32)

OTHER = {
    "model": "Facenet",
    "weights_sha256": "cd" * 32,
    "crop": Crop("square", 0.1),
    "colour": "BGR",
    "normalisation": "per image: (x-mean)/std",
    "input_size": (160, 161),
    "dimension": 128,
    "template_views": 1,
}


@pytest.mark.parametrize("name", MODELS)
def test_round_trip(name: str) -> None:
    spec = MODELS[name].spec("ab" * 32)
    again = EmbeddingSpec.from_json(spec.to_json())
    assert again == spec
    assert hash(again) == hash(spec)
    assert again.fingerprint == spec.fingerprint
    assert again.to_json() == spec.to_json()


def test_another_value_is_known_for_every_field() -> None:
    assert set(OTHER) == {field.name for field in fields(EmbeddingSpec)}


@pytest.mark.parametrize("field", OTHER)
def test_the_fingerprint_changes_with_every_field(field: str) -> None:
    other: Any = {field: OTHER[field]}
    changed = replace(SPEC, **other)
    assert changed != SPEC
    assert changed.fingerprint != SPEC.fingerprint


def test_the_kind_of_crop_counts_too() -> None:
    assert replace(SPEC, crop=Crop("deepface", 0.15)).fingerprint != SPEC.fingerprint


def test_every_model_has_a_fingerprint_of_its_own() -> None:
    assert len({card.spec("ab" * 32).fingerprint for card in MODELS.values()}) == len(MODELS)


def test_a_fingerprint_is_sixteen_hex_digits() -> None:
    assert len(SPEC.fingerprint) == 16
    int(SPEC.fingerprint, 16)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"model": "Facenet512"}', "null"])
def test_what_is_no_spec(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        EmbeddingSpec.from_json(text)


def test_a_field_that_is_not_known_is_refused() -> None:
    with pytest.raises(TypeError):
        EmbeddingSpec.from_json(json.dumps(json.loads(SPEC.to_json()) | {"flavour": "sweet"}))
