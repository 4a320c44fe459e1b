"""The models that --model takes."""

from __future__ import annotations

import pytest

from facewire.server.errors import StartError
from facewire.server.recognition.decision import Decider
from facewire.server.vision.embedder import NORMALISATIONS
from facewire.server.vision.models import DEFAULT_MODEL, FALLBACK_MODEL, MODELS, ModelCard, model_card


@pytest.mark.parametrize("name", MODELS)
def test_a_name_in_any_case(name: str) -> None:
    for written in (name, name.lower(), name.upper(), name.swapcase()):
        assert model_card(written) is MODELS[name]


@pytest.mark.parametrize("name", ["Facenet5120", "", "facenet-512", " Facenet"])
def test_an_unknown_name_is_answered_with_those_there_are(name: str) -> None:
    with pytest.raises(StartError) as error:
        model_card(name)
    assert error.value.exit_code == 2
    assert f"'{name}'" in str(error.value)
    assert all(known in str(error.value) for known in MODELS)


def test_the_defaults_are_models() -> None:
    assert {DEFAULT_MODEL, FALLBACK_MODEL} <= set(MODELS)


def test_facenet_is_fed_as_it_was_trained() -> None:
    """FACTS: square crop and 15 %, RGB, (x-127.5)/128 and two views give 0.9952 on LFW; DeepFace's default, 0.967."""
    spec = MODELS["Facenet512"].spec("0" * 64)
    assert (spec.crop.kind, spec.crop.margin, spec.colour) == ("square", 0.15, "RGB")
    assert (spec.normalisation, spec.input_size, spec.dimension) == ("(x-127.5)/128", (160, 160), 512)
    assert MODELS["Facenet"].normalisation == "per image: (x-mean)/std"


@pytest.mark.parametrize("card", MODELS.values(), ids=MODELS)
def test_every_model_can_be_fed_and_decided_by(card: ModelCard) -> None:
    assert card.family != "facenet" or card.normalisation in NORMALISATIONS
    assert -1 < Decider(card.spec("0" * 64), 0.01).threshold(100) < 1
