"""GraphIndex over a real graph against ExactIndex: any small gallery, partly removed, partly not in the graph yet."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.gallery.graph import Graph, GraphIndex
from server.gallery.index import ExactIndex
from server.gallery.rows import Chunk, Rows
from tests.support.galleries import people_like, random_units

DIMENSION = 16


@settings(deadline=None)  # the machine may be busy
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 500),
    people=st.integers(1, 120),
    unknown_share=st.floats(0, 1),
    removed_share=st.floats(0, 0.9),
    k=st.integers(1, 12),
)
def test_finds_what_the_exact_search_finds(
    seed: int, count: int, people: int, unknown_share: float, removed_share: float, k: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors, owners = people_like(rng, people, count, DIMENSION)
    graph = Graph(DIMENSION)
    in_graph = count - int(count * unknown_share)
    if in_graph:
        graph.add(np.arange(1, in_graph + 1), vectors[:in_graph])
    kept = np.flatnonzero(rng.random(count) >= removed_share)
    ids = (kept + 1).tolist()
    chunk = Chunk(vectors[kept], ids, ids, owners[kept].tolist())
    rows = Rows.load(
        len(kept), DIMENSION, [chunk], lambda embeddings: (0.6 + 0.4 * embeddings[:, 0]).astype(np.float32)
    )
    exact, index = ExactIndex(rows.embeddings, rows.person_ids, rows.scales), GraphIndex(rows, graph)
    for probe in (vectors[0], vectors[-1], random_units(rng, 1, DIMENSION)[0]):
        assert index.search(probe, k) == exact.search(probe, k)
