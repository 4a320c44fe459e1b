"""Decisions: the more people, the nearer a match must be; two equally near people are ambiguous."""

from __future__ import annotations

import pytest

from facewire.server.gallery.records import Match
from facewire.server.recognition.decision import Decided, Decider, Verdict
from facewire.server.recognition.impostors import impostor_prior
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision.models import MODELS


def decider(model: str = "Facenet512", fpir: float = 0.01) -> Decider:
    spec: EmbeddingSpec = MODELS[model].spec("0" * 64)
    return Decider(spec, fpir)


def test_nobody_enrolled_is_unknown() -> None:
    assert decider().decide([], 0).decision == "unknown"


def test_the_threshold_decides_and_is_told() -> None:
    threshold = decider().threshold(500)
    assert decider().decide([threshold + 0.01, 0.1], 500).decision == "match"
    verdict = decider().decide([threshold - 0.01, 0.1], 500)
    assert (verdict.decision, verdict.threshold) == ("unknown", threshold)


def test_candidates_are_comparable_by_what_ranks_them() -> None:
    """Strangers come close to the second: it is more similar, and needs more."""
    matches = tuple(
        Match(name, similarity, 1.0, f"{name}.jpg", 1, 1, scale)
        for name, similarity, scale in (("Ada", 0.5, 0.8), ("Bo", 0.55, 0.6), ("Cleo", 0.2, 1.0))
    )
    decided = Decided(matches, Verdict("unknown", 0.5, 0.1), 0.6)
    ada, bo, cleo = decided.candidates(3)
    assert (ada.comparable, bo.similarity) == (0.5, 0.55)
    assert bo.comparable == pytest.approx(0.4)  # 1 - (1 - 0.55) / 0.6 * 0.8
    assert cleo.comparable == pytest.approx(0.36)
    assert len(decided.candidates(2)) == 2


@pytest.mark.parametrize("model", sorted(MODELS))
def test_the_threshold_grows_with_the_gallery_and_with_strictness(model: str) -> None:
    thresholds = [decider(model).threshold(people) for people in (1, 10, 100, 1_000, 10_000)]
    assert thresholds == sorted(thresholds)
    assert len(set(thresholds)) == len(thresholds)
    assert decider(model, 0.001).threshold(100) > decider(model, 0.05).threshold(100)
    assert all(0 < threshold < 1 for threshold in thresholds)


def test_a_second_person_as_near_is_ambiguous_only_when_both_would_match() -> None:
    threshold = decider().threshold(100)
    assert decider().decide([threshold + 0.05, threshold + 0.045], 100).decision == "ambiguous"
    assert decider().decide([threshold + 0.05, threshold + 0.01], 100).decision == "match"
    assert decider().decide([threshold + 0.005, threshold - 0.005], 100).decision == "match"


def test_the_prior_inverts_to_the_rates_measured_on_lfw() -> None:
    """Quantiles of 18.8 million LFW pairs of different people, read off the data and not off the fit."""
    prior = impostor_prior("Facenet512")
    measured = {1e-2: 0.425, 1e-3: 0.558, 1e-4: 0.663, 1e-5: 0.746, 1e-6: 0.819}
    for rate, similarity in measured.items():
        assert prior.similarity_at(rate) == pytest.approx(similarity, abs=0.006)
