"""The cohort: statistics against a slow oracle, what may be loaded, and what normalising does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.server.comparison import normalised, normalised_matrix, similarity_for
from facewire.server.errors import ModelMismatch, StartError
from facewire.server.gallery.search.cohort import DEFAULT_PATH, Cohort, spanned
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision.models import model_card
from lab.train_cohort import Recipe, trained
from tests.support.people import unit


def people(count: int, seed: int, dimension: int = 64) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, dimension))
    return unit(rows)


@pytest.fixture
def spec() -> EmbeddingSpec:
    return replace(model_card("Facenet512").spec("a" * 64), dimension=64)


def save(path: Path, spec: EmbeddingSpec) -> Path:
    groups = np.repeat(["child", "grown"], 150)
    recipe = Recipe(nearest=40, members=100, crowded_clusters=2, crowded_members=200, rank=32)
    arrays: dict[str, Any] = {"spec": np.array(spec.to_json()), **trained(people(300, 1), groups, recipe, seed=0)}
    np.savez(path, **arrays)
    return path


def test_statistics_are_those_of_the_nearest_members() -> None:
    members, probes = people(300, 1), people(20, 2)
    found = Cohort(members, nearest=40).statistics(probes)
    for row, probe in enumerate(probes):
        nearest = sorted((float(np.dot(member, probe)) for member in members), reverse=True)[:40]
        assert found.mean[row] == pytest.approx(np.mean(nearest), abs=1e-6)
        assert found.deviation[row] == pytest.approx(np.std(nearest), abs=1e-6)


def few_directions(count: int, seed: int, directions: int = 12) -> NDArray[np.float32]:
    """People who differ in some directions out of 64, but for a rounding's worth."""
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((64, directions)))[0]
    rows = people(count, seed, directions) @ axes.T + 1e-4 * people(count, seed + 1)
    return unit(rows)


def test_members_in_few_directions_are_compared_in_those() -> None:
    members, probes = few_directions(300, 1), few_directions(20, 5)
    axes, inside = spanned(members)
    assert np.allclose(inside @ axes.T, members, atol=1e-3)
    assert axes.shape == (64, 12)
    assert np.allclose(axes.T @ axes, np.eye(12), atol=1e-5)
    nearest = np.sort(probes @ members.T, axis=1)[:, -40:]
    found = Cohort(members, nearest=40).statistics(probes)
    assert np.allclose(found.mean, nearest.mean(axis=1), atol=1e-5)
    assert np.allclose(found.deviation, nearest.std(axis=1), atol=1e-5)


def test_members_in_every_direction_are_compared_in_all() -> None:
    assert np.array_equal(spanned(people(300, 1))[0], np.eye(64, dtype=np.float32))


def test_a_few_members_in_directions_of_their_own_are_not_overlooked() -> None:
    """Directions are proposed by every so manyth member; these two are none of those."""
    members = few_directions(300, 1)
    members[[1, 3]] = people(2, 9)
    assert np.array_equal(spanned(members[::2])[0], spanned(few_directions(300, 1)[::2])[0])
    assert np.array_equal(spanned(members)[0], np.eye(64, dtype=np.float32))


def test_statistics_do_not_depend_on_how_many_are_asked_for_at_once() -> None:
    cohort, probes = Cohort(people(300, 1), nearest=40), people(5000, 2)
    together = cohort.statistics(probes)
    alone = cohort.statistics(probes[4500:4501])
    assert together.mean[4500] == pytest.approx(alone.mean[0], abs=1e-6)
    assert len(cohort.statistics(probes[:0]).mean) == 0


def test_normalising_is_symmetric_and_of_each_pair() -> None:
    cohort, probes, templates = Cohort(people(300, 1), nearest=40), people(5, 2), people(7, 3)
    rows, columns = cohort.scales(probes), cohort.scales(templates)
    matrix = normalised_matrix(probes, templates, rows, columns)
    assert matrix.shape == (5, 7)
    assert pytest.approx(matrix, abs=1e-6) == normalised_matrix(templates, probes, columns, rows).T
    one = normalised(float(probes[3] @ templates[6]), float(rows[3] * columns[6]))
    assert matrix[3, 6] == pytest.approx(one, abs=1e-5)
    assert similarity_for(one, float(rows[3] * columns[6])) == pytest.approx(float(probes[3] @ templates[6]), abs=1e-6)


def test_a_crowded_face_needs_more_similarity() -> None:
    """Whoever has many near members is held to a higher similarity."""
    members = people(300, 1)
    crowd = members[0] + 0.3 * people(100, 4)
    cohort = Cohort(np.vstack([members, crowd / np.linalg.norm(crowd, axis=1, keepdims=True)]), nearest=40)
    crowded, lonely = float(cohort.scales(members[:1])[0]), float(cohort.scales(people(1, 5))[0])
    assert normalised(0.7, crowded**2) < normalised(0.7, lonely**2)


def test_a_cohort_of_another_model_is_not_used(tmp_path: Path, spec: EmbeddingSpec) -> None:
    path = save(tmp_path / "cohort.npz", spec)
    cohort = Cohort.load(path, spec)
    assert cohort is not None and len(cohort) == 300
    assert Cohort.load(path, replace(spec, weights_sha256="b" * 64)) is None
    assert Cohort.load(tmp_path / "none.npz", spec) is None


def test_a_damaged_file_is_said_so(tmp_path: Path, spec: EmbeddingSpec) -> None:
    path = save(tmp_path / "cohort.npz", spec)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(StartError, match="is damaged"):
        Cohort.load(path, spec)


def test_other_dimensions_are_refused() -> None:
    with pytest.raises(ModelMismatch):
        Cohort(people(300, 1), nearest=40).statistics(people(2, 2, dimension=32))
    with pytest.raises(ValueError, match="can't be the nearest"):
        Cohort(people(30, 1), nearest=30)


def test_the_shipped_file_is_small_and_needs_no_pickle() -> None:
    assert DEFAULT_PATH.stat().st_size < 1_500_000
    with np.load(DEFAULT_PATH, allow_pickle=False) as stored:
        assert EmbeddingSpec.from_json(str(stored["spec"])).model == "Facenet512"
