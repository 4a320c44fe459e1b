"""ExactIndex on small cases worked out by hand; the property test compares it with the slow oracle."""

from __future__ import annotations

import numpy as np
import pytest

from facewire.server.errors import ModelMismatch
from facewire.server.gallery.search.index import ExactIndex
from tests.support.galleries import random_units, unit

EAST, NORTH = unit(1, 0), unit(0, 1)


def index(*rows: tuple[int, np.ndarray]) -> ExactIndex:
    people = np.array([person for person, _ in rows], dtype=np.int64)
    return ExactIndex(np.stack([vector for _, vector in rows]), people)


def test_the_best_template_of_each_person() -> None:
    hits = index((1, NORTH), (2, unit(4, 3)), (1, EAST)).search(EAST, 5)
    assert [(hit.row, hit.person_id, hit.similarity) for hit in hits] == [(2, 1, 1.0), (1, 2, float(np.float32(0.8)))]


def test_an_empty_index_finds_nobody() -> None:
    assert ExactIndex(np.empty((0, 2), dtype=np.float32), np.empty(0, dtype=np.int64)).search(EAST, 3) == ()


def test_whoever_equals_the_last_is_there_too() -> None:
    level = index((1, EAST), (2, NORTH), (3, NORTH), (4, -EAST))
    assert [hit.person_id for hit in level.search(EAST, 2)] == [1, 2, 3]


def test_a_persons_equal_templates_give_the_earliest() -> None:
    assert index((1, NORTH), (1, EAST), (1, EAST)).search(EAST, 1)[0].row == 1


def test_many_pictures_of_one_person_hide_nobody() -> None:
    """The most similar rows are all one person's; the second person is far behind them."""
    crowd = [(1, unit(1, 0.001 * number)) for number in range(500)]
    assert [hit.person_id for hit in index(*crowd, (2, NORTH)).search(EAST, 2)] == [1, 2]


def test_equal_templates_are_equal_wherever_they_lie() -> None:
    """BLAS sums rows at the end of a matrix in another order than those in the middle."""
    vectors = random_units(np.random.default_rng(3), 37, 128)
    vectors[[0, 17, 35, 36]] = vectors[5]
    hits = ExactIndex(vectors, np.arange(37)).search(random_units(np.random.default_rng(4), 1, 128)[0], 37)
    assert len({hit.similarity for hit in hits if hit.person_id in (0, 5, 17, 35, 36)}) == 1


@pytest.mark.parametrize("probe", [unit(1, 0, 0), np.ones((1, 1, 2), dtype=np.float32)])
def test_another_dimension_is_another_model(probe: np.ndarray) -> None:
    with pytest.raises(ModelMismatch, match="2 dimensions"):
        index((1, EAST)).search(probe, 1)


@pytest.mark.parametrize("values", [(2.0, 0.0), (0.0, 0.0), (np.nan, 0.0), (np.inf, 0.0)])
def test_what_is_not_unit_is_refused(values: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="unit length"):
        index((1, EAST)).search(np.array(values, dtype=np.float32), 1)


def test_k_is_at_least_one() -> None:
    with pytest.raises(ValueError, match="k must"):
        index((1, EAST)).search(EAST, 0)
