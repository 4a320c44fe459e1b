"""GraphIndex over a graph that does as it is told: what it forgets, doesn't know yet or makes up must not show."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from server.errors import ModelMismatch
from server.gallery.graph import FEWEST_CANDIDATES, GRAPH_ERROR, MOST_CANDIDATES, Graph, GraphIndex, expansion_for
from server.gallery.index import ExactIndex
from server.gallery.rows import Chunk, Rows
from tests.support.galleries import people_like, random_units, unit, without_image

EAST, NORTH = unit(1, 0, 0), unit(0, 1, 0)
DIMENSION = 16


class ListedGraph:
    """Compares everything it was given, and remembers how much it was asked for."""

    def __init__(self, rows: Rows, covered: int | None = None) -> None:
        self._embeddings, self._ids = rows.embeddings, rows.template_ids
        self.covered = int(rows.template_ids[-1]) if covered is None else covered
        self.asked: list[int] = []

    def nearest(self, embedding: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], float]:
        self.asked.append(count)
        cosines = self._embeddings @ embedding
        best = np.argsort(-cosines, kind="stable")[:count]
        best = best[self._ids[best] <= self.covered]
        return self._ids[best], float(cosines[best[-1]]) if len(best) == count else -np.inf


class ForgetfulGraph(ListedGraph):
    """There is no way to some of its templates."""

    def __init__(self, rows: Rows, forgotten: NDArray[np.int64]) -> None:
        super().__init__(rows)
        self._forgotten = forgotten

    def nearest(self, embedding: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], float]:
        ids, last = super().nearest(embedding, count)
        return ids[~np.isin(ids, self._forgotten)], last


def rows_of(vectors: NDArray[np.float32], owners: NDArray[np.int64], first_id: int = 1) -> Rows:
    ids = range(first_id, first_id + len(vectors))
    return Rows.load(len(vectors), vectors.shape[1], [Chunk(vectors, ids, ids, owners.tolist())])


def crowd(count: int, people: int, seed: int = 0) -> Rows:
    return rows_of(*people_like(np.random.default_rng(seed), people, count, DIMENSION))


def probes(count: int) -> NDArray[np.float32]:
    return random_units(np.random.default_rng(99), count, DIMENSION)


def assert_as_exact(index: GraphIndex, rows: Rows, k: int = 3) -> None:
    exact = ExactIndex(rows.embeddings, rows.person_ids)
    for probe in probes(20):
        assert index.search(probe, k) == exact.search(probe, k)


def test_a_few_candidates_are_enough_for_the_exact_answer() -> None:
    rows = crowd(1000, 400)
    graph = ListedGraph(rows)
    assert_as_exact(GraphIndex(rows, graph), rows, k=1)
    assert set(graph.asked) == {FEWEST_CANDIDATES}
    assert len(GraphIndex(rows, graph)) == 1000


def test_rows_behind_the_graphs_end_are_found() -> None:
    rows = crowd(400, 100)
    for covered in (0, 1, 250, 399, 400):
        assert_as_exact(GraphIndex(rows, ListedGraph(rows, covered)), rows)


def test_what_was_removed_is_not_found() -> None:
    """The graph proposes nothing but removed templates at first; the living are asked for until they come."""
    everything = crowd(1500, 300)
    probe = probes(1)[0]
    rows = everything
    for row in np.argsort(-(everything.embeddings @ probe))[: FEWEST_CANDIDATES + 44]:
        rows = without_image(rows, int(everything.image_ids[row]))
    graph = ListedGraph(everything)
    assert GraphIndex(rows, graph).search(probe, 3) == ExactIndex(rows.embeddings, rows.person_ids).search(probe, 3)
    assert graph.asked == [FEWEST_CANDIDATES, 4 * FEWEST_CANDIDATES]


def test_a_template_that_the_graph_overlooks_is_found_through_another_of_its_person() -> None:
    """As in large graphs: there is a way to one of a person's templates, and to their nearest none."""
    rows = crowd(1200, 300)
    known = rows_of(rows.embeddings, rows.person_ids)
    graph = ForgetfulGraph(known, forgotten=known.template_ids[::3])
    index, exact = GraphIndex(rows, graph), ExactIndex(rows.embeddings, rows.person_ids, rows.scales)
    by_others = np.setdiff1d(np.arange(len(rows)), np.arange(0, len(rows), 3))
    overlooked = [row for row in range(0, 600, 3) if rows.person_ids[row] in rows.person_ids[by_others]]
    assert len(overlooked) > 150
    found = [index.search(rows.embeddings[row], 1) == exact.search(rows.embeddings[row], 1) for row in overlooked]
    assert np.mean(found) > 0.95, "but for those whose other pictures are far from this one"


def test_older_rows_do_not_see_what_came_later() -> None:
    newest = crowd(600, 150)
    older = rows_of(newest.embeddings[:500], newest.person_ids[:500])
    assert_as_exact(GraphIndex(older, ListedGraph(newest)), older)


def test_ids_with_gaps_are_told_apart() -> None:
    """Removed ids before, between and behind those that are left."""
    everything = crowd(600, 150)
    rows = everything
    for image_id in (1, 2, 300, 599, 600):
        rows = without_image(rows, image_id)
    assert_as_exact(GraphIndex(rows, ListedGraph(everything)), rows)


def test_whoever_equals_the_last_is_there_too() -> None:
    """More people on a level than the first candidates hold."""
    level = np.stack([NORTH] * (FEWEST_CANDIDATES + 50) + [EAST] * 900)
    rows = rows_of(level, np.arange(len(level)))
    assert len(GraphIndex(rows, ListedGraph(rows)).search(NORTH, 2)) == FEWEST_CANDIDATES + 50


def test_one_person_with_very_many_pictures_hides_nobody() -> None:
    vectors = np.stack([EAST] * (MOST_CANDIDATES + 500) + [NORTH])
    rows = rows_of(vectors, np.array([1] * (len(vectors) - 1) + [2]))
    graph = ListedGraph(rows)
    assert [hit.person_id for hit in GraphIndex(rows, graph).search(EAST, 2)] == [1, 2]
    assert max(graph.asked) <= MOST_CANDIDATES


def test_an_empty_gallery_with_a_graph_full_of_the_dead() -> None:
    dead = crowd(300, 10)
    empty = rows_of(np.empty((0, DIMENSION), dtype=np.float32), np.empty(0, dtype=np.int64))
    assert GraphIndex(empty, ListedGraph(dead)).search(probes(1)[0], 3) == ()


def test_probes_are_held_to_the_contract() -> None:
    rows = crowd(300, 10)
    index = GraphIndex(rows, ListedGraph(rows))
    with pytest.raises(ModelMismatch):
        index.search(EAST, 1)
    with pytest.raises(ValueError, match="unit length"):
        index.search(np.zeros(DIMENSION, dtype=np.float32), 1)
    with pytest.raises(ValueError, match="k must"):
        index.search(probes(1)[0], 0)


@pytest.mark.parametrize("dimension", [8, 128, 512])
def test_the_graphs_cosines_are_as_near_the_true_ones_as_it_says(dimension: int) -> None:
    vectors, owners = people_like(np.random.default_rng(5), 30, 200, dimension)
    rows = rows_of(vectors, owners)
    graph = Graph(dimension)
    graph.add(rows.template_ids, rows.embeddings)
    assert (len(graph), graph.covered) == (200, 200)
    for probe in vectors[::10]:
        for count in (1, 20, 100):
            ids, last = graph.nearest(probe, count)
            assert abs(float(vectors[ids[-1] - 1] @ probe) - last) <= GRAPH_ERROR
    assert graph.nearest(vectors[0], 201)[1] == -np.inf


@pytest.mark.parametrize("asked", [1, 2, 40])
def test_many_are_answered_as_one_after_the_other(asked: int) -> None:
    rows = crowd(30, 30)
    graph = Graph(DIMENSION)
    graph.add(rows.template_ids, rows.embeddings)
    many = probes(asked)
    for count in (1, 5, 50):
        found = graph.nearest_of_each(many, count)
        assert found.shape == (asked, count)
        for row, probe in zip(found, many, strict=True):
            one, _ = graph.nearest(probe, count)
            assert row[: len(one)].tolist() == one.tolist()
            assert (row[len(one) :] == -1).all()


def test_larger_graphs_are_searched_more_widely() -> None:
    assert expansion_for(0) == expansion_for(40_000) == 256
    assert 512 <= expansion_for(100_000) < 600 < 4000 < expansion_for(1_000_000) < 4200
