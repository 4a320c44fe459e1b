"""Which pairs of clusters are worth comparing: for each cluster that is new or has grown, its nearest others."""

from __future__ import annotations

import numpy as np

from server.albums.clustering.clusters import Clusters, Indices
from server.albums.clustering.normalisation import Floats
from server.gallery.graph import Graph

NEIGHBOURS = 32
"""Of a cluster, by the cosine of the summed embeddings. Clusters that grow are asked again, so a person with more
pictures than this is found too."""

EXACT_PRODUCTS = 400_000_000
"""Up to so many comparisons (20,000 clusters with each other) all are made; above, a graph proposes."""

BLOCK_PRODUCTS = 4_000_000
"""Comparisons made at once: 16 MB, and 32 MB to order them."""

GRAPH_ROWS = 1024
EXPANSION = 128
"""How widely the graph is searched, at half the cost of the gallery's 256. Of 20,000 faces of 1,781 people it finds as
many of the neighbours that could be joined (a similarity over 0.5)."""


def candidates(clusters: Clusters, asking: Indices) -> tuple[Indices, Indices]:
    """Pairs of living clusters, (m,) each, lower number first, none twice; one of each pair is among `asking`."""
    everyone = np.flatnonzero(clusters.alive)
    count = min(NEIGHBOURS, len(everyone) - 1)
    if count < 1 or not len(asking):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    nearest = _exact if len(asking) * len(everyone) <= EXACT_PRODUCTS else _proposed
    # One more, for each is its own nearest.
    found = nearest(clusters.sums, everyone, asking, count + 1)
    one, other = np.repeat(asking, count + 1), found.ravel()
    real = (one != other) & (other >= 0)
    keys = np.unique(np.minimum(one, other)[real] * len(clusters.alive) + np.maximum(one, other)[real])
    return np.divmod(keys, len(clusters.alive))


def _exact(sums: Floats, everyone: Indices, asking: Indices, count: int) -> Indices:
    directions = _directions(sums, everyone)
    rows = max(1, BLOCK_PRODUCTS // len(everyone))
    found = np.empty((len(asking), count), np.int64)
    for start in range(0, len(asking), rows):
        block = asking[start : start + rows]
        products = _directions(sums, block) @ directions.T
        found[start : start + rows] = everyone[np.argpartition(products, -count, axis=1)[:, -count:]]
    return found


def _proposed(sums: Floats, everyone: Indices, asking: Indices, count: int) -> Indices:
    graph = Graph(sums.shape[1], EXPANSION)
    for start in range(0, len(everyone), GRAPH_ROWS):
        block = everyone[start : start + GRAPH_ROWS]
        graph.add(block, _directions(sums, block))
    found = np.empty((len(asking), count), np.int64)
    for start in range(0, len(asking), GRAPH_ROWS):
        block = asking[start : start + GRAPH_ROWS]
        found[start : start + GRAPH_ROWS] = graph.nearest_of_each(_directions(sums, block), count)
    return found


def _directions(sums: Floats, clusters: Indices) -> Floats:
    chosen = sums[clusters]
    lengths = np.linalg.norm(chosen, axis=1, keepdims=True)
    # Faces that cancel out have no direction: near nobody.
    directions: Floats = np.divide(chosen, lengths, out=np.zeros_like(chosen), where=lengths > 0)
    return directions
