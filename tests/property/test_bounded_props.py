"""BoundedIndex against ExactIndex on any gallery: the same answers, to the bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from facewire.server.gallery.search.bounded import BoundedIndex
from facewire.server.gallery.search.directions import Directions
from facewire.server.gallery.search.index import ExactIndex
from facewire.server.gallery.search.rows import Chunk, Rows
from tests.support.galleries import people_like, random_units

DIMENSION = 32


@settings(deadline=None, derandomize=True)  # the machine may be busy
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 1500),
    people=st.integers(1, 300),
    k=st.integers(1, 12),
    spare=st.integers(0, 3),
    directions=st.integers(1, DIMENSION),
    outside=st.sampled_from([0.0, 1e-4, 0.05, 1.0]),
    smallest=st.sampled_from([1e-6, 0.1, 0.5, 1.0, 30.0]),
)
def test_finds_what_the_exact_search_finds(
    seed: int, count: int, people: int, k: int, spare: int, directions: int, outside: float, smallest: float
) -> None:
    """Templates and probes that lie in the directions but for nothing, a rounding, a little, or altogether elsewhere;
    scales from `smallest` to twice that and more; many of the templates are there twice, with the same scale or not."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((DIMENSION, directions)))[0]
    vectors, owners = people_like(rng, people, count, DIMENSION)
    probes = np.concatenate([vectors[:1], vectors[-1:], random_units(rng, 1, DIMENSION), -vectors[:1]])
    vectors, probes = (
        (inside / np.linalg.norm(inside, axis=1, keepdims=True)).astype(np.float32)
        for inside in ((some @ axes) @ axes.T + outside * some for some in (vectors, probes))
    )
    twice = rng.random(count) < 0.3
    vectors[twice] = vectors[rng.integers(0, count, count)][twice]
    scales = (smallest * (1 + np.abs(vectors[:, 0]) + (rng.random(count) < 0.1))).astype(np.float32)
    ids = range(1, count + 1)
    chunk = Chunk(vectors, ids, ids, owners.tolist())
    rows = Rows.load(count, DIMENSION, [chunk], lambda _: scales, Directions(axes.astype(np.float32)))
    exact, index = ExactIndex(rows.embeddings, rows.person_ids, rows.scales), rows.index
    assert isinstance(index, BoundedIndex)
    found = [exact.search(probe, k, spare) for probe in probes]
    assert [index.search(probe, k, spare) for probe in probes] == found
    assert list(index.search_all(np.concatenate([probes, probes]), k, spare)) == found * 2
