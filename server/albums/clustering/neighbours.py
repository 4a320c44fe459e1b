"""Selects the pairs of clusters to compare: each cluster that is new or has grown, with its nearest others."""

from __future__ import annotations

import numpy as np

from facewire.server.albums.clustering.clusters import Clusters
from facewire.server.albums.clustering.normalisation import Floats, Indices

NEIGHBOURS = 32
"""Nearest clusters compared, by the cosine of the summed embeddings. Clusters that grow are compared again, so a person
with more pictures than this is found too."""

BLOCK_PRODUCTS = 16_000_000
"""Comparisons per matrix product: 64 MB."""

PEAKS = 2048
"""Each cluster's similarities are divided into about this many groups, whose maxima preselect the values to order:
ordering 100,000 values takes longer than computing them."""


def candidates(clusters: Clusters, asking: Indices) -> tuple[Indices, Indices]:
    """Pairs of living clusters, (m,) each, lower number first, without repeats; one of each is in `asking`."""
    everyone = np.flatnonzero(clusters.alive)
    count = min(NEIGHBOURS, len(everyone) - 1)
    if count < 1 or not len(asking):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    # One more, because each cluster is its own nearest.
    found = nearest(clusters.sums, everyone, asking, count + 1)
    one, other = np.repeat(asking, count + 1), found.ravel()
    real = one != other
    keys = np.unique(np.minimum(one, other)[real] * len(clusters.alive) + np.maximum(one, other)[real])
    return np.divmod(keys, len(clusters.alive))


def nearest(sums: Floats, everyone: Indices, asking: Indices, count: int) -> Indices:
    """(len(asking), count): the nearest of `everyone` to each of `asking`, in any order, by exhaustive comparison."""
    directions = _directions(sums, everyone)
    rows = max(1, BLOCK_PRODUCTS // len(everyone))
    found = np.empty((len(asking), count), np.int64)
    for start in range(0, len(asking), rows):
        products = _directions(sums, asking[start : start + rows]) @ directions.T
        found[start : start + rows] = everyone[_largest(products, count)]
    return found


def _largest(products: Floats, count: int) -> Indices:
    """(n, count): the columns of each row's largest values, in any order. `count` must be far below PEAKS."""
    group = max(1, products.shape[1] // PEAKS)
    even = products.shape[1] - products.shape[1] % group
    grouped = products[:, :even].reshape(len(products), group, -1).max(axis=1)
    peaks = np.concatenate([grouped, products[:, even:]], axis=1)
    # `count` peaks are at least this large, so the `count` largest values are too.
    least = np.partition(peaks, -count, axis=1)[:, -count]
    found = np.empty((len(products), count), np.int64)
    for row, (values, at_least) in enumerate(zip(products, least, strict=True)):
        columns = np.flatnonzero(values >= at_least)
        found[row] = columns[np.argpartition(values[columns], -count)[-count:]]
    return found


def _directions(sums: Floats, clusters: Indices) -> Floats:
    chosen = sums[clusters]
    lengths = np.linalg.norm(chosen, axis=1, keepdims=True)
    # Faces that cancel out have no direction, so they are near nobody.
    directions: Floats = np.divide(chosen, lengths, out=np.zeros_like(chosen), where=lengths > 0)
    return directions
