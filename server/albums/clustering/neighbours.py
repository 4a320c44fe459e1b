"""Which pairs of clusters are worth comparing: for each cluster that is new or has grown, its nearest others."""

from __future__ import annotations

import numpy as np

from facewire.server.albums.clustering.clusters import Clusters, Indices
from facewire.server.albums.clustering.normalisation import Floats

NEIGHBOURS = 32
"""Of a cluster, by the cosine of the summed embeddings. Clusters that grow are asked again, so a person with more
pictures than this is found too."""

BLOCK_PRODUCTS = 16_000_000
"""Comparisons made at once: 64 MB."""

PEAKS = 2048
"""Of each cluster's comparisons the largest of about so many groups tell which are worth ordering: to order 100,000
takes longer than to make them."""


def candidates(clusters: Clusters, asking: Indices) -> tuple[Indices, Indices]:
    """Pairs of living clusters, (m,) each, lower number first, none twice; one of each pair is among `asking`."""
    everyone = np.flatnonzero(clusters.alive)
    count = min(NEIGHBOURS, len(everyone) - 1)
    if count < 1 or not len(asking):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    # One more, for each is its own nearest.
    found = _nearest(clusters.sums, everyone, asking, count + 1)
    one, other = np.repeat(asking, count + 1), found.ravel()
    real = one != other
    keys = np.unique(np.minimum(one, other)[real] * len(clusters.alive) + np.maximum(one, other)[real])
    return np.divmod(keys, len(clusters.alive))


def _nearest(sums: Floats, everyone: Indices, asking: Indices, count: int) -> Indices:
    """(asking, count): the nearest of everyone to each who asks, in any order. All are compared."""
    directions = _directions(sums, everyone)
    rows = max(1, BLOCK_PRODUCTS // len(everyone))
    found = np.empty((len(asking), count), np.int64)
    for start in range(0, len(asking), rows):
        products = _directions(sums, asking[start : start + rows]) @ directions.T
        found[start : start + rows] = everyone[_largest(products, count)]
    return found


def _largest(products: Floats, count: int) -> Indices:
    """(n, count): the columns of the largest of each row, in any order; `count` is far below PEAKS."""
    group = max(1, products.shape[1] // PEAKS)
    even = products.shape[1] - products.shape[1] % group
    grouped = products[:, :even].reshape(len(products), group, -1).max(axis=1)
    peaks = np.concatenate([grouped, products[:, even:]], axis=1)
    # As many peaks are no smaller than this, so none of the largest is.
    least = np.partition(peaks, -count, axis=1)[:, -count]
    found = np.empty((len(products), count), np.int64)
    for row, (values, at_least) in enumerate(zip(products, least, strict=True)):
        columns = np.flatnonzero(values >= at_least)
        found[row] = columns[np.argpartition(values[columns], -count)[-count:]]
    return found


def _directions(sums: Floats, clusters: Indices) -> Floats:
    chosen = sums[clusters]
    lengths = np.linalg.norm(chosen, axis=1, keepdims=True)
    # Faces that cancel out have no direction: near nobody.
    directions: Floats = np.divide(chosen, lengths, out=np.zeros_like(chosen), where=lengths > 0)
    return directions
