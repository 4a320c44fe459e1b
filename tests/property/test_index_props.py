"""ExactIndex against the slow, obvious search."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facewire.server.gallery.search.index import ExactIndex
from tests.support.galleries import unit

# Few directions, so that equal templates and equal similarities are common.
DIRECTIONS = [
    unit(*values) for values in ((1, 0, 0), (0, 1, 0), (3, 4, 0), (-1, 0, 0), (1, 1, 1), (2, -1, 2), (0, 5, 12))
]

directions = st.sampled_from(DIRECTIONS)
galleries = st.lists(st.tuples(st.integers(1, 8), directions), min_size=1, max_size=60)


def oracle(
    rows: list[tuple[int, NDArray[np.float32]]], probe: NDArray[np.float32], k: int
) -> list[tuple[int, int, float]]:
    """(row, person, similarity), by a loop over everything."""
    best: dict[int, tuple[float, int]] = {}
    for row, (person, vector) in enumerate(rows):
        similarity = float(np.float32(sum(float(a) * float(b) for a, b in zip(vector, probe, strict=True))))
        if person not in best or similarity > best[person][0]:
            best[person] = (similarity, row)
    ranked = sorted(((similarity, row, person) for person, (similarity, row) in best.items()), key=lambda hit: -hit[0])
    last = ranked[min(k, len(ranked)) - 1][0]
    return [(row, person, similarity) for similarity, row, person in ranked if similarity >= last]


@settings(deadline=None)  # the machine may be busy
@given(galleries, directions, st.integers(1, 12))
def test_finds_what_the_slow_search_finds(
    rows: list[tuple[int, NDArray[np.float32]]], probe: NDArray[np.float32], k: int
) -> None:
    index = ExactIndex(np.stack([vector for _, vector in rows]), np.array([person for person, _ in rows]))
    found = [(hit.row, hit.person_id, hit.similarity) for hit in index.search(probe, k)]
    assert sorted(found) == sorted(oracle(rows, probe, k))
    assert [hit[2] for hit in found] == sorted((hit[2] for hit in found), reverse=True)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 40), st.integers(1, 20))
def test_finds_what_the_slow_search_finds_among_any_vectors(seed: int, count: int, people: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count + 1, 8))
    units = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    owners = rng.integers(0, people, count)
    hits = ExactIndex(units[:count], owners).search(units[count], k)
    rows = list(zip(owners.tolist(), units[:count], strict=True))
    assert {(hit.row, hit.person_id) for hit in hits} == {hit[:2] for hit in oracle(rows, units[count], k)}


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 40), st.integers(1, 20))
def test_with_scales_it_finds_what_a_loop_over_everything_finds(seed: int, count: int, people: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count + 1, 8))
    units = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    owners = rng.integers(0, people, count)
    scales = rng.uniform(0.3, 1.2, count).astype(np.float32)
    nearest: dict[int, float] = {}
    for owner, vector, scale in zip(owners.tolist(), units, scales.tolist(), strict=False):
        nearness = (float(np.dot(vector.astype(float), units[count].astype(float))) - 1) / scale
        nearest[owner] = max(nearness, nearest.get(owner, -np.inf))
    wanted = sorted(nearest.values(), reverse=True)[:k]
    hits = ExactIndex(units[:count], owners, scales).search(units[count], k)
    assert np.allclose([hit.nearness for hit in hits[: len(wanted)]], wanted, atol=1e-6)
    assert all(np.isclose(nearest[hit.person_id], hit.nearness, atol=1e-6) for hit in hits)
