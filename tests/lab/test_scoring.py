"""The evaluation scores as the gallery does, and compares groups by the threshold of `verify`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.server.comparison import normalised
from facewire.server.gallery.search.cohort import DEFAULT_PATH, Cohort
from facewire.server.spec import EmbeddingSpec
from lab.evaluation.embedding import Embedded
from lab.evaluation.groups import measured
from lab.evaluation.pseudo_groups import Discriminant
from lab.evaluation.scoring import Scorer
from tests.support.people import unit


def people(count: int, seed: int, dimension: int = 64) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, dimension))
    return unit(rows)


def test_scores_of_an_evaluation_are_the_gallerys() -> None:
    """Pairs, a matrix and `normalised` give the same numbers; a model without a cohort, raw similarities."""
    with np.load(DEFAULT_PATH, allow_pickle=False) as stored:
        known = EmbeddingSpec.from_json(str(stored["spec"]))
    ones, others = people(6, 1, known.dimension), people(6, 2, known.dimension)
    scorer = Scorer(known)
    assert scorer.normalised
    assert np.diag(scorer.matrix(ones, others)) == pytest.approx(scorer.pairs(ones, others), abs=1e-5)
    cohort = Cohort.load(DEFAULT_PATH, known)
    assert cohort is not None
    similarity = np.einsum("nd,nd->n", ones, others)
    wanted = normalised(similarity, cohort.scales(ones) * cohort.scales(others))
    assert scorer.pairs(ones, others) == pytest.approx(wanted, abs=1e-5)
    stranger = Scorer(replace(known, weights_sha256="c" * 64))
    assert not stranger.normalised
    assert stranger.pairs(ones, others) == pytest.approx(similarity, abs=1e-6)


def test_groups_are_compared_within_themselves_by_verifys_threshold() -> None:
    with np.load(DEFAULT_PATH, allow_pickle=False) as stored:
        known = EmbeddingSpec.from_json(str(stored["spec"]))
    alike = np.repeat(people(1, 3, known.dimension), 3, axis=0)
    probes = np.concatenate([alike, people(4, 4, known.dimension)])
    names = ["one/a", "one/b", "one/c", "four/a", "four/b", "four/c", "four/d"]
    embedded = Embedded(tuple(Path("in") / name for name in names), probes, probes, (), known)
    report = measured(embedded, np.array(["one"] * 3 + ["four"] * 4))
    assert report["fmr_by_group"] == {"four": 0.0, "one": 1.0}
    assert report["pairs"] == {"four": 6, "one": 3}
    assert report["fmr_asked"] == 0.001


def test_pseudo_groups_are_those_of_similar_faces_and_the_unsure_are_in_none() -> None:
    choice = np.random.default_rng(6)
    centres = people(2, 7)
    known = np.concatenate([centres[[each]] + choice.normal(0, 0.1, (60, centres.shape[1])) for each in (0, 1)])
    known = unit(known)
    learnt = Discriminant(known, np.repeat(["a", "b"], 60))
    middle = known.mean(axis=0, keepdims=True)
    assert learnt.groups(np.concatenate([centres, middle])).tolist() == ["a", "b", ""]


def test_pairs_of_one_person_and_faces_of_no_group_do_not_count() -> None:
    with np.load(DEFAULT_PATH, allow_pickle=False) as stored:
        known = EmbeddingSpec.from_json(str(stored["spec"]))
    faces = np.repeat(people(2, 3, known.dimension), 2, axis=0)
    embedded = Embedded(tuple(Path(str(number)) for number in range(4)), faces, faces, (), known)
    groups = np.array(["one", "one", "one", ""])
    report = measured(embedded, groups, same_person=0.72)
    assert report["pairs"] == {"one": 2}
    assert report["fmr_by_group"] == {"one": 0.0}
