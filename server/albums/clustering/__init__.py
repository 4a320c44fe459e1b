"""Groups faces into people without knowing how many there are, and suggests merges for users to confirm.

Each face starts alone, or in its previous cluster. Clusters are joined while the evidence that they are one person
exceeds a threshold, which depends on the number of clusters. This package knows nothing of albums and stores nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facewire.server.albums.clustering.agglomeration import agglomerate
from facewire.server.albums.clustering.clusters import Clusters, Indices
from facewire.server.albums.clustering.evidence import SPREAD, evidence_asked
from facewire.server.albums.clustering.neighbours import candidates
from facewire.server.albums.clustering.normalisation import FITTED, Floats, Scale, scale_of, weights
from facewire.server.albums.clustering.standing import numbered, standing
from facewire.server.gallery.search.cohort import Statistics

__all__ = ["FITTED", "Scale", "Suggestion", "cluster", "scale_of", "suggestions"]

SUGGESTED_PRODUCTS = 400_000_000
"""Most comparisons of clusters for suggestions, which take five seconds: enough to compare 20,000 with each other."""

UNLIKELY = 0.05
"""Joins less likely than this are not suggested."""


class Suggestion(NamedTuple):
    """Are these two clusters one person? `faces`: how many the answer settles, i.e. the size of the smaller one."""

    first: int
    second: int
    similarity: float
    faces: int


def cluster(
    embeddings: Floats,
    photos: NDArray[np.integer],
    settled: NDArray[np.integer],
    fixed: NDArray[np.bool_],
    different: Sequence[tuple[int, int]],
    statistics: Statistics | None = None,
    scale: Scale = FITTED,
) -> Indices:
    """The cluster number of each of n faces.

    `embeddings`: (n, d) float32, unit rows. `photos`: (n,) the photograph of each face; two faces in the same one are
    hardly ever one person. `settled`: (n,) each face's cluster so far, -1 for a new face. `fixed`: (n,) faces placed by
    a user: they stay, and clusters of fixed faces are never joined. `different`: pairs of faces to keep apart.
    `statistics`: the cohort statistics of these faces; without them, `scale` says how to rescale the model's
    similarities (see normalisation.py).

    Settled clusters grow and may be joined, but lose only faces that `different` takes out. A joined cluster keeps the
    number of the one with fixed faces, else of the larger one. New clusters get numbers above all of `settled`. If all
    faces are settled and nothing contradicts that, nothing changes. A few new faces among many cost little.

    Raises ValueError if a fixed face is in no cluster, or `different` from a fixed face of its own cluster.
    """
    so_far: Indices = np.array(settled, np.int64)
    apart = _pairs(different)
    begin = standing(so_far, fixed, apart)
    if not len(begin.asking):
        return so_far
    of_each = weights(len(embeddings), statistics, scale)
    clusters = Clusters(embeddings, of_each, _counted(photos), begin.member_of, begin.anchored, apart)
    agglomerate(clusters, begin.asking)
    return numbered(clusters.member_of, so_far, fixed)


def suggestions(
    embeddings: Floats,
    labels: NDArray[np.integer],
    photos: NDArray[np.integer],
    different: Sequence[tuple[int, int]],
    statistics: Statistics | None = None,
    scale: Scale = FITTED,
    limit: int = 100,
) -> list[Suggestion]:
    """Pairs of clusters that may be one person, those expected to settle the most faces first.

    `labels`: (n,) as returned by `cluster`; the rest as there. At most `limit` pairs.
    """
    numbers, member_of = np.unique(np.asarray(labels, np.int64), return_inverse=True)
    if len(numbers) < 2:
        return []
    nobody = np.zeros(len(numbers), np.bool_)
    of_each = weights(len(embeddings), statistics, scale)
    clusters = Clusters(embeddings, of_each, _counted(photos), member_of, nobody, _pairs(different))
    # The largest clusters only, if there are too many to compare each with all others.
    asking = np.argsort(-clusters.counts, kind="stable")[: SUGGESTED_PRODUCTS // len(numbers)]
    first, second = candidates(clusters, asking)
    faces = np.minimum(clusters.counts[first], clusters.counts[second])
    # At `evidence_asked`, one person and two are equally likely; a direction's evidence counts 1 / SPREAD^2 times.
    excess = (clusters.evidence(first, second) - evidence_asked(len(numbers))) / SPREAD**2
    likely = 1 / (1 + np.exp(-np.clip(excess, -50, 50)))
    worth = np.where(likely >= UNLIKELY, likely * faces, 0.0)
    ranked = [pair for pair in np.argsort(-worth, kind="stable")[:limit] if worth[pair] > 0]
    similarity = clusters.similarity(first, second)
    return [
        Suggestion(int(numbers[first[pair]]), int(numbers[second[pair]]), float(similarity[pair]), int(faces[pair]))
        for pair in ranked
    ]


def _pairs(different: Sequence[tuple[int, int]]) -> Indices:
    return np.array(different, np.int64).reshape(-1, 2)


def _counted(photos: NDArray[np.integer]) -> Indices:
    """The same photographs, renumbered from 0."""
    counted: Indices = np.unique(photos, return_inverse=True)[1].astype(np.int64)
    return counted
