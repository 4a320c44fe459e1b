"""SketchIndex: what it leaves out must not show, in galleries of every shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.server.errors import ModelMismatch
from facewire.server.gallery.search.index import ExactIndex
from facewire.server.gallery.search.rows import Chunk, Rows, derived_by, unscaled
from facewire.server.gallery.search.sketch import BITS, FIRST, MOST_FIRST, SketchIndex, sketch
from tests.support.galleries import people_like, random_units, unit

EAST, NORTH = unit(1, 0, 0), unit(0, 1, 0)
DIMENSION = 16


def rows_of(vectors: NDArray[np.float32], owners: NDArray[np.int64]) -> Rows:
    """All of them sketched, however few."""
    ids = range(1, len(vectors) + 1)
    chunk = Chunk(vectors, ids, ids, owners.tolist())
    return Rows.load(len(vectors), vectors.shape[1], [chunk], derived_by(unscaled), exact_bytes=-1)


def index_of(rows: Rows) -> SketchIndex:
    assert isinstance(rows.index, SketchIndex)
    return rows.index


def exact_of(rows: Rows) -> ExactIndex:
    return ExactIndex(rows.embeddings, rows.person_ids, rows.scales)


def differing(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> int:
    return int(np.bitwise_count(one ^ other).sum())


@pytest.mark.parametrize("dimension", [2, 16, 128, 512, 1500])
def test_as_many_bits_differ_as_the_angle_says(dimension: int) -> None:
    """Within four deviations of the binomial distribution."""
    rng = np.random.default_rng(dimension)
    one, towards = random_units(rng, 2, dimension)
    across = towards - (towards @ one) * one
    across /= np.linalg.norm(across)
    for angle in (0.0, 0.1, 0.7, 1.3, np.pi / 2, 2.2, np.pi):
        other = (np.cos(angle) * one + np.sin(angle) * across).astype(np.float32)
        chance = angle / np.pi
        deviation = np.sqrt(BITS * chance * (1 - chance))
        count = differing(*sketch(np.stack([one, other])))
        assert abs(count - BITS * chance) <= 4 * deviation + 1


def test_a_sketch_is_the_same_alone_and_among_many() -> None:
    vectors = random_units(np.random.default_rng(0), 9000, 512)
    together = sketch(vectors)
    for row in (0, 1, 8191, 8192, 8999):
        # A bit whose plane the vector all but lies in may fall to either side.
        assert differing(sketch(vectors[row : row + 1])[0], together[row]) <= 1


@pytest.mark.parametrize("k", [1, 3, 40])
def test_the_nearest_are_those_of_the_exact_search(k: int) -> None:
    vectors, owners = people_like(np.random.default_rng(0), 900, 3000, 64)
    rows = rows_of(vectors, owners)
    index, exact = index_of(rows), exact_of(rows)
    probes, _ = people_like(np.random.default_rng(0), 900, 3050, 64)  # the last 50: of the same people
    found = [index.search(probe, k) == exact.search(probe, k) for probe in probes[3000:]]
    assert np.mean(found) >= 0.96


def test_spare_people_follow_those_asked_for() -> None:
    vectors, owners = people_like(np.random.default_rng(0), 900, 3000, 64)
    rows = rows_of(vectors, owners)
    for probe in vectors[:20]:
        for index in (index_of(rows), exact_of(rows)):
            found = index.search(probe, 2, spare=3)
            assert len(found) == len({hit.person_id for hit in found}) == 5
            assert found[:2] == index.search(probe, 2)
            assert [hit.nearness for hit in found] == sorted((hit.nearness for hit in found), reverse=True)


@pytest.mark.parametrize("count", [1, 5, FIRST - 1, FIRST, FIRST + 1, 70_000])
def test_galleries_of_any_size(count: int) -> None:
    """A handful, as many as are compared in any case, and more than are looked at together."""
    vectors = random_units(np.random.default_rng(1), count, DIMENSION)
    index = index_of(rows_of(vectors, np.arange(count)))
    assert len(index) == count
    for row in {0, count // 2, count - 1}:
        hit = index.search(vectors[row], 1)[0]
        assert (hit.row, hit.person_id) == (row, row)
        assert hit.similarity == pytest.approx(1, abs=1e-6)


def test_an_empty_gallery() -> None:
    rows = rows_of(np.empty((0, DIMENSION), np.float32), np.empty(0, np.int64))
    index = SketchIndex(rows.embeddings, rows.person_ids, rows.scales, sketch(rows.embeddings).T)
    assert index.search(random_units(np.random.default_rng(0), 1, DIMENSION)[0], 3) == ()


def test_whoever_equals_the_last_is_there_too() -> None:
    """More people on a level than are compared at first."""
    level = np.stack([NORTH] * (FIRST + 50) + [EAST] * 900)
    index = index_of(rows_of(level, np.arange(len(level))))
    assert len(index.search(NORTH, 2)) == FIRST + 50


def test_one_person_with_very_many_pictures_hides_nobody() -> None:
    for many in (FIRST + 500, MOST_FIRST + 500):
        vectors = np.stack([EAST] * many + [NORTH])
        index = index_of(rows_of(vectors, np.array([1] * many + [2])))
        assert [hit.person_id for hit in index.search(EAST, 2)] == [1, 2]


def test_a_person_of_large_scale_is_not_left_out() -> None:
    """Ranked by similarity they'd be behind thousands; by nearness they are first."""
    vectors, owners = people_like(np.random.default_rng(2), 2000, 6000, 64)
    probe = random_units(np.random.default_rng(3), 1, 64)[0]
    rows = rows_of(vectors, owners)
    far = int(np.argsort(rows.embeddings @ probe)[3000])
    scales = np.full(len(rows), 0.5, np.float32)
    scales[far] = 1.9
    rows = replace(rows, scales=scales)
    assert index_of(rows).search(probe, 1) == exact_of(rows).search(probe, 1)
    assert index_of(rows).search(probe, 1)[0].row == far


def test_probes_are_held_to_the_contract() -> None:
    vectors, owners = people_like(np.random.default_rng(4), 10, 300, DIMENSION)
    index = index_of(rows_of(vectors, owners))
    with pytest.raises(ModelMismatch):
        index.search(EAST, 1)
    with pytest.raises(ValueError, match="unit length"):
        index.search(np.zeros(DIMENSION, dtype=np.float32), 1)
    with pytest.raises(ValueError, match="k must"):
        index.search(vectors[0], 0)
