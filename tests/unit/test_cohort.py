"""The cohort: statistics against a slow oracle, what may be loaded, and what normalising does."""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import resource
from collections.abc import Callable
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


@functools.cache
def of_two_groups(seed: int) -> dict[str, Any]:
    groups = np.repeat(["child", "grown"], 150)
    recipe = Recipe(nearest=40, members=100, members_of={"child": 200}, cluster_people=75, rank=32)
    return dict(trained(people(300, 1), groups, recipe, seed=seed))


def save(path: Path, spec: EmbeddingSpec, seed: int = 0) -> Path:
    np.savez(path, spec=np.array(spec.to_json()), **of_two_groups(seed))
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


def the_same(one: Cohort | None, other: Cohort | None) -> bool:
    """Whether two cohorts measure alike, to the last bit."""
    assert one is not None and other is not None
    return (
        one.fingerprint == other.fingerprint
        and np.array_equal(one.axes, other.axes)
        and np.array_equal(one.directions.axes, other.directions.axes)
        and np.array_equal(one.scales(people(20, 2)), other.scales(people(20, 2)))
    )


def test_a_cohort_that_was_kept_is_the_one_that_was_drawn(
    tmp_path: Path, spec: EmbeddingSpec, caplog: pytest.LogCaptureFixture
) -> None:
    path, cache = save(tmp_path / "cohort.npz", spec), tmp_path / "cache"
    drawn = Cohort.load(path, spec)
    for _ in ("keeps it", "reads it"):
        assert the_same(Cohort.load(path, spec, cache), drawn)
        assert len([file for file in cache.rglob("*") if file.is_file()]) == 1
    assert caplog.messages == []


def test_what_was_kept_of_another_cohort_is_not_used(tmp_path: Path, spec: EmbeddingSpec) -> None:
    cache = tmp_path / "cache"
    old, new = save(tmp_path / "old.npz", spec, seed=1), save(tmp_path / "new.npz", spec, seed=2)
    assert not the_same(Cohort.load(old, spec, cache), Cohort.load(new, spec, cache))
    assert the_same(Cohort.load(new, spec, cache), Cohort.load(new, spec))


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut off": lambda content: content[: len(content) // 2],
    "a byte less": lambda content: content[:-1],
    "a bit changed": lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
    "the checksum changed": lambda content: bytes(32) + content[32:],
    "a pickle": lambda _: pickle.dumps([1, 2, 3]),
    "of a checksum only": lambda _: hashlib.sha256(b"").digest(),
    "without its arrays": lambda _: signed(b""),
    "of another version": lambda _: signed(b"members, version 0"),
}


def signed(content: bytes) -> bytes:
    return hashlib.sha256(content).digest() + content


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_was_kept_and_is_damaged_is_made_again(
    tmp_path: Path, spec: EmbeddingSpec, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, cache = save(tmp_path / "cohort.npz", spec), tmp_path / "cache"
    drawn = Cohort.load(path, spec, cache)
    (kept,) = cache.rglob("members")
    whole = kept.read_bytes()
    kept.write_bytes(DAMAGE[damage](whole))
    assert the_same(Cohort.load(path, spec, cache), drawn)
    (said,) = caplog.messages
    assert "can't be used" in said
    assert kept.read_bytes() == whole
    assert the_same(Cohort.load(path, spec, cache), drawn)
    assert len(caplog.messages) == 1


def a_file_for_the_cache(cache: Path) -> None:
    cache.write_bytes(b"no folder")


def a_cache_that_may_only_be_read(cache: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    cache.mkdir(mode=0o500)


def a_folder_for_the_file(cache: Path) -> None:
    (kept,) = cache.rglob("members")
    kept.unlink()
    kept.mkdir()


@pytest.mark.parametrize("obstacle", [a_file_for_the_cache, a_cache_that_may_only_be_read, a_folder_for_the_file])
def test_where_it_can_not_be_kept_the_cohort_is_drawn(
    tmp_path: Path, spec: EmbeddingSpec, obstacle: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    path, cache = save(tmp_path / "cohort.npz", spec), tmp_path / "cache"
    if obstacle is a_folder_for_the_file:
        Cohort.load(path, spec, cache)
    obstacle(cache)
    assert the_same(Cohort.load(path, spec, cache), Cohort.load(path, spec))
    assert "at each start" in caplog.messages[-1]
    assert [file for file in cache.rglob("*") if file.is_file()] == []


def test_on_a_full_disk_the_cohort_is_drawn(
    tmp_path: Path, spec: EmbeddingSpec, caplog: pytest.LogCaptureFixture
) -> None:
    path, cache = save(tmp_path / "cohort.npz", spec), tmp_path / "cache"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        drawn = Cohort.load(path, spec, cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "can't be kept" in caplog.text
    assert [file for file in cache.rglob("*") if file.is_file()] == []
    assert the_same(Cohort.load(path, spec, cache), drawn)


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
