"""A gallery's own tail: what it learns, from how many people, and that asking never waits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.server.gallery.records import NewPicture, NewTemplate, Templates
from facewire.server.gallery.search.strangers import nearest_others
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.recognition.calibration import Calibration, effective_size, offset_of
from facewire.server.recognition.decision import Decider
from facewire.server.recognition.impostors import (
    Prior,
    QuadraticPrior,
    TabulatedPrior,
    impostor_prior,
    nearest_of,
    priors,
)
from facewire.server.vision.models import MODELS
from tests.support.galleries import people_like, random_units

DIMENSION = 48


def crowded(people: int, closeness: float, seed: int = 0) -> Templates:
    """People around one direction: the closer, the nearer they come to each other."""
    rng = np.random.default_rng(seed)
    rows = closeness * random_units(rng, 1, DIMENSION) + random_units(rng, people, DIMENSION)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return Templates(rows, np.arange(people), np.ones(people, np.float32))


def tabulated(templates: Templates) -> TabulatedPrior:
    """The prior of just these people."""
    similarities = (templates.embeddings @ templates.embeddings.T)[~np.eye(len(templates.person_ids), dtype=bool)]
    rates = (0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)
    return TabulatedPrior(rates, tuple(np.quantile(similarities, [1 - rate for rate in rates]).tolist()), 0.02)


def test_nearest_others_are_those_a_loop_finds_and_not_ones_own() -> None:
    """By others' templates, and by the mean of others' templates."""
    rows, owners = people_like(np.random.default_rng(2), 20, 60, DIMENSION)
    scales = np.random.default_rng(1).uniform(0.9, 1, 60).astype(np.float32)
    found = nearest_others(Templates(rows, owners, scales))
    people, first = np.unique(owners, return_index=True)
    by_mean = 0
    for at, (person, row) in enumerate(zip(people, first, strict=True)):
        templates, means = [], []
        for other in people[people != person]:
            mine = owners == other
            templates += (1 - (1 - rows[mine] @ rows[row]) / scales[mine]).tolist()
            mean = rows[mine].mean(axis=0)
            means.append(1 - (1 - mean @ rows[row] / np.linalg.norm(mean)) / scales[mine].mean())
        nearest = max(*templates, *means)
        by_mean += nearest > max(templates)
        assert found[at] == pytest.approx(1 - (1 - nearest) / scales[row], abs=1e-5)
    assert by_mean > 0


def test_people_as_near_as_the_priors_shift_nothing_and_nearer_ones_do() -> None:
    prior = tabulated(crowded(800, 0.5, seed=1))
    assert offset_of(crowded(400, 0.5, seed=2), prior) == pytest.approx(0, abs=0.03)
    assert offset_of(crowded(400, 1.0, seed=2), prior) > 0.1


def test_strangers_to_a_crowded_gallery_are_let_in_at_the_rate_asked_for() -> None:
    """By the prior alone nearly everybody would be."""
    everybody = crowded(1400, 1.0, seed=3)
    gallery = Templates(everybody.embeddings[:400], np.arange(400), np.ones(400, np.float32))
    nearest = (everybody.embeddings[400:] @ gallery.embeddings.T).max(axis=1)
    prior = tabulated(crowded(800, 0.5, seed=1))
    threshold = nearest_of(prior.similarity_at, 400, 0.05)
    assert np.mean(nearest >= threshold) > 0.5
    # Four fifths of the way: the prior still weighs as much as 100 of 500 people.
    assert 0.01 <= np.mean(nearest >= threshold + offset_of(gallery, prior)) <= 0.2


def test_strangers_are_let_in_at_the_rate_asked_for_however_many_templates_people_have() -> None:
    """Pictures of one person that are as alike as LFW's are to each other: 0.55 to 0.65."""
    everybody = crowded(1400, 0.5, seed=3)
    prior = tabulated(crowded(800, 0.5, seed=1))
    rng = np.random.default_rng(4)
    for templates in (1, 4, 8):
        own = np.repeat(everybody.embeddings[:200], templates, axis=0) + 0.85 * random_units(
            rng, 200 * templates, DIMENSION
        )
        rows = (own / np.linalg.norm(own, axis=1, keepdims=True)).astype(np.float32)
        gallery = Templates(rows, np.repeat(np.arange(200), templates), np.ones(len(rows), np.float32))
        means = rows.reshape(200, templates, -1).mean(axis=1)
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        nearest = (everybody.embeddings[200:] @ np.concatenate([rows, means]).T).max(axis=1)
        threshold = nearest_of(prior.similarity_at, effective_size(gallery.person_ids), 0.05) + offset_of(
            gallery, prior
        )
        assert 0.025 <= np.mean(nearest >= threshold) <= 0.1


def test_a_crowd_is_worth_its_people_and_something_for_their_further_templates() -> None:
    assert effective_size(np.zeros(0, np.int64)) == 0
    assert effective_size(np.array([7, 2, 9])) == 3
    assert 3 < effective_size(np.array([7, 2, 9, 7])) < 4
    assert 8 < effective_size(np.array([5] * 16)) < 16


def test_few_people_say_little() -> None:
    prior = tabulated(crowded(800, 0.5, seed=1))
    shifts = [offset_of(crowded(people, 1.0, seed=2), prior) for people in (0, 4, 12, 100, 1000)]
    assert shifts[0] == shifts[1] == 0
    assert shifts == sorted(shifts)


def picture(embedding: NDArray[np.float32], number: int) -> NewPicture:
    return NewPicture(f"{number:064x}", 1, "x.jpg", 9, 9, (NewTemplate(embedding, (0, 0, 5, 5), ((1, 1),) * 5, 0.9),))


def test_it_follows_the_gallery(tmp_path: Path) -> None:
    spec = replace(MODELS["Facenet512"].spec("0" * 64), dimension=DIMENSION)
    prior = tabulated(crowded(800, 0.5, seed=1))
    with SqliteGallery.create(tmp_path / "g.db", spec) as gallery:
        calibration = Calibration(gallery, prior)
        assert calibration.offset() == 0
        for number, embedding in enumerate(crowded(60, 1.0, seed=2).embeddings):
            gallery.enrol(f"P{number}", [picture(embedding, number)])
        calibration.offset()
        calibration.settle()
        assert calibration.offset() == pytest.approx(offset_of(gallery.templates(), prior))
        assert calibration.offset() > 0.02


def both_of_verify() -> list[Prior]:
    normalised = priors("Facenet512", normalised=True)
    return [normalised.enrolled, normalised.at_large, normalised.alike, priors("Dlib", normalised=False).alike]


@pytest.mark.parametrize("prior", [impostor_prior("Facenet512"), impostor_prior("ArcFace"), *both_of_verify()])
def test_rates_and_similarities_are_each_others_inverse(prior: QuadraticPrior | TabulatedPrior) -> None:
    for rate in (0.05, 1e-2, 1e-3, 2e-5, 1e-6):
        assert prior.rate_at(prior.similarity_at(rate)) == pytest.approx(rate, rel=1e-3)
    assert prior.similarity_at(1e-12) <= 1


@pytest.mark.parametrize("normalised", [False, True])
def test_the_chance_of_a_false_match_is_the_rate_asked_for_at_the_threshold(normalised: bool) -> None:
    decider = Decider(MODELS["Facenet512"].spec("0" * 64), 0.01, normalised=normalised)
    for people in (1, 50, 2000):
        for shift in (0.0, 0.05):
            threshold = decider.threshold(people, shift)
            assert decider.false_match(threshold, people, shift) == pytest.approx(0.01, rel=1e-3)
            assert decider.false_match(threshold + 0.05, people, shift) < 0.01


@pytest.mark.parametrize("normalised", [False, True])
def test_two_people_are_called_the_same_at_the_rate_asked_for_and_more_often_where_they_are_alike(
    normalised: bool,
) -> None:
    decider = Decider(MODELS["Facenet512"].spec("0" * 64), 0.01, fmr=0.002, normalised=normalised)
    assert decider.verification_threshold() == decider.verification_threshold(0.002)
    thresholds = [decider.verification_threshold(fmr) for fmr in (0.1, 0.01, 1e-3, 1e-4, 1e-6)]
    assert thresholds == sorted(set(thresholds))
    for fmr in (0.01, 1e-3, 1e-4):
        threshold = decider.verification_threshold(fmr)
        assert decider.false_match_at_large(threshold) == pytest.approx(fmr, rel=1e-3)
        assert 4 * fmr < decider.false_match_alike(threshold) < 0.2
