"""BoundedIndex: it answers as ExactIndex does, in galleries of every shape, and reads less."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.server.errors import ModelMismatch
from facewire.server.gallery.search.bounded import FIRST, GROUPS, BoundedIndex
from facewire.server.gallery.search.cohort import DEFAULT_PATH, Cohort
from facewire.server.gallery.search.directions import DIRECTIONS, WIDTH, Directions
from facewire.server.gallery.search.index import ExactIndex
from facewire.server.gallery.search.packed import BLOCK, Packed
from facewire.server.gallery.search.rows import Chunk, Rows
from facewire.server.spec import EmbeddingSpec
from lab.benchmarking.vectors import Crowd
from tests.support.galleries import people_like, random_units, unit

EAST, NORTH = unit(1, 0, 0), unit(0, 1, 0)
DIMENSION = 16


def rows_of(vectors: NDArray[np.float32], owners: NDArray[np.int64]) -> Rows:
    """Searched in the first half of their dimensions, where `people_like` spreads them most."""
    ids, dimension = range(1, len(vectors) + 1), vectors.shape[1]
    directions = Directions(np.eye(dimension, (dimension + 1) // 2, dtype=np.float32))
    chunk = Chunk(vectors, ids, ids, owners.tolist())
    return Rows.load(len(vectors), dimension, [chunk], directions=directions)


def index_of(rows: Rows) -> BoundedIndex:
    assert isinstance(rows.index, BoundedIndex)
    return rows.index


def exact_of(rows: Rows) -> ExactIndex:
    return ExactIndex(rows.embeddings, rows.person_ids, rows.scales)


def bounds(directions: Directions, codes: NDArray[np.int8], probe: NDArray[np.float32]) -> NDArray[np.float64]:
    """By the slow product."""
    coded = directions.probe(probe)
    dots = codes.astype(np.int64) @ coded.code.astype(np.int64)
    return (dots - coded.offset).astype(np.float64) * coded.unit


class TestBounds:
    @pytest.mark.parametrize("dimension", [2, 16, 88, 512])
    @pytest.mark.parametrize("outside", [0.0, 1e-3, 1.0])
    def test_no_template_is_nearer_than_its_bound_and_bounds_are_close(self, dimension: int, outside: float) -> None:
        """In float64; the probes lie in the directions, or in all. Scales as faces have them, and others."""
        rng = np.random.default_rng(dimension)
        axes = np.linalg.qr(rng.standard_normal((dimension, min(dimension // 2, DIRECTIONS))))[0]
        vectors = random_units(rng, 200, dimension)
        vectors = ((vectors @ axes) @ axes.T + outside * vectors).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        directions, scales = Directions(axes.astype(np.float32)), rng.uniform(0.01, 2, len(vectors)).astype(np.float32)
        codes, wide = directions.codes(vectors, scales), vectors.astype(np.float64)
        usual = scales > 0.7  # so that no coordinate is cut off, whatever the dimension
        for probe in (vectors[0], axes[:, 0].astype(np.float32), random_units(rng, 1, dimension)[0]):
            found = bounds(directions, codes, probe) * scales
            short_of_one = np.minimum(wide @ probe - 1, 0)
            assert (found >= short_of_one).all()
            if outside < 1:
                assert (found <= short_of_one + 0.25)[usual].all()

    def test_a_template_that_no_code_can_describe_may_equal_every_probe(self) -> None:
        vectors = random_units(np.random.default_rng(0), 50, DIMENSION)
        directions = Directions(np.eye(DIMENSION, 2, dtype=np.float32))
        codes = directions.codes(vectors, np.full(50, 1e-6, np.float32))
        for probe in vectors:
            assert (bounds(directions, codes, probe) == 0).any()
            short_of_one = np.minimum(vectors.astype(np.float64) @ probe - 1, 0)
            assert (bounds(directions, codes, probe) >= short_of_one / 1e-6).all()

    def test_whoever_is_near_enough_has_the_product_that_this_needs(self) -> None:
        directions = Directions(np.eye(DIMENSION, dtype=np.float32))
        probe = directions.probe(random_units(np.random.default_rng(1), 1, DIMENSION)[0])
        for dots in range(-20_000, 60_000, 777):
            bound = (dots - probe.offset) * probe.unit
            assert probe.needed(bound) <= dots or bound > 0
            assert probe.needed(bound - 2 * probe.unit) < probe.needed(bound) or bound > 0
        assert probe.needed(-np.inf) < -(2**29)
        assert probe.needed(1e-6) == probe.needed(0.0) <= probe.offset

    def test_more_directions_than_a_code_has_numbers_are_refused(self) -> None:
        with pytest.raises(ValueError, match="do not fit"):
            Directions(np.eye(512, DIRECTIONS + 1, dtype=np.float32))

    def test_the_leading_directions_are_those_that_faces_differ_in(self) -> None:
        """Whatever axes they are given in; all of them where there are no more than asked for."""
        rng = np.random.default_rng(0)
        axes = np.linalg.qr(rng.standard_normal((12, 6)))[0].astype(np.float32)
        inside = (rng.standard_normal((300, 6)) * [0.1, 5, 0.1, 4, 0.1, 3]).astype(np.float32)
        faces = np.ascontiguousarray(axes[:, [1, 3, 5]].T)
        codes = Directions.leading(axes, inside, 3).codes(faces, np.ones(3, np.float32))
        assert codes.shape == (3, WIDTH)
        assert (codes[:, 3] < 30).all(), "hardly anything lies outside"
        assert (Directions.leading(axes, inside, 1).codes(faces, np.ones(3, np.float32))[:, 1] > 80).any()
        assert not Directions.leading(axes, inside, 10).codes(faces, np.ones(3, np.float32))[:, 10:].any()

    @pytest.mark.parametrize("pictures_a_person", [2.35, 20])
    def test_few_faces_are_compared_in_the_shipped_cohorts_directions(self, pictures_a_person: float) -> None:
        """Enrolled people and strangers: as many are as near by their bounds as the third-nearest person is."""
        with np.load(DEFAULT_PATH) as stored:
            cohort = Cohort.load(DEFAULT_PATH, EmbeddingSpec.from_json(str(stored["spec"])))
        assert cohort is not None
        crowd = Crowd(20_000, pictures_a_person)
        owners, vectors = (np.concatenate(parts) for parts in zip(*crowd.pictures(), strict=True))
        scales = cohort.scales(vectors)
        codes = cohort.directions.codes(vectors, scales)
        exact = ExactIndex(vectors, owners, scales)
        index = BoundedIndex(vectors, owners, scales, codes, Packed().covering(codes), cohort.directions)
        for probe in (*crowd.probes(20), *crowd.strangers(20)):
            found = exact.search(probe, 3)
            assert index.search(probe, 3) == found
            near = np.count_nonzero(bounds(cohort.directions, codes, probe) >= found[-1].nearness)
            assert near < len(vectors) / 200


@pytest.mark.parametrize("k", [1, 3, 40])
def test_the_nearest_are_those_of_the_exact_search(k: int) -> None:
    vectors, owners = people_like(np.random.default_rng(0), 900, 3000, 64)
    rows = rows_of(vectors, owners)
    index, exact = index_of(rows), exact_of(rows)
    probes, _ = people_like(np.random.default_rng(0), 900, 3050, 64)  # the last 50: of the same people
    for probe in probes[3000:]:
        assert index.search(probe, k) == exact.search(probe, k)


def test_spare_people_follow_those_asked_for() -> None:
    vectors, owners = people_like(np.random.default_rng(0), 900, 3000, 64)
    rows = rows_of(vectors, owners)
    for probe in vectors[:20]:
        for index in (index_of(rows), exact_of(rows)):
            found = index.search(probe, 2, spare=3)
            assert len(found) == len({hit.person_id for hit in found}) == 5
            assert found[:2] == index.search(probe, 2)
            assert [hit.nearness for hit in found] == sorted((hit.nearness for hit in found), reverse=True)


@pytest.mark.parametrize("count", [1, 5, FIRST - 1, FIRST, FIRST + 1, BLOCK - 1, BLOCK, 2 * BLOCK + 1, 70_000])
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
    index = index_of(rows)
    assert index.search(random_units(np.random.default_rng(0), 1, DIMENSION)[0], 3) == ()


def test_whoever_equals_the_last_is_there_too() -> None:
    """More people on a level than are compared at first."""
    level = np.stack([NORTH] * (FIRST + 50) + [EAST] * 900)
    index = index_of(rows_of(level, np.arange(len(level))))
    assert len(index.search(NORTH, 2)) == FIRST + 50


def test_one_person_with_very_many_pictures_hides_nobody() -> None:
    for many in (FIRST + 500, GROUPS + 500, 3 * GROUPS):
        others = random_units(np.random.default_rng(5), 2 * GROUPS, 3)
        vectors = np.concatenate([np.stack([EAST] * many + [NORTH]), others])
        owners = np.concatenate([[1] * many, [2], 3 + np.arange(len(others))])
        rows = rows_of(vectors, owners)
        found = index_of(rows).search(EAST, 2)
        assert [hit.person_id for hit in found] == [1, found[1].person_id]
        assert found == exact_of(rows).search(EAST, 2)


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
