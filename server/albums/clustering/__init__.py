"""Groups faces into people without knowing how many there are, and suggests merges for users to confirm.

Each face starts alone, or in its previous cluster. Clusters are joined while the evidence that they are one person
exceeds a threshold, which depends on the number of clusters; faces left alone are then compared face by face with the
people who have been found. Photographs of several people show how alike the album's strangers are. This package knows
nothing of albums and stores nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facewire.server.albums.clustering.agglomeration import agglomerate
from facewire.server.albums.clustering.clusters import Clusters
from facewire.server.albums.clustering.company import in_company
from facewire.server.albums.clustering.evidence import SPREAD, evidence_asked
from facewire.server.albums.clustering.latecomers import join_latecomers
from facewire.server.albums.clustering.neighbours import candidates
from facewire.server.albums.clustering.normalisation import FITTED, Floats, Indices, Numbers, Scale, scale_of, weights
from facewire.server.albums.clustering.standing import numbered, standing
from facewire.server.gallery.search.cohort import Statistics

__all__ = ["FITTED", "Scale", "Suggestion", "cluster", "scale_of", "suggestions"]

SUGGESTED_PRODUCTS = 400_000_000
"""Most comparisons of clusters for suggestions, which take five seconds: enough to compare 20,000 with each other."""

UNLIKELY = 0.05
"""Joins less likely than this are not suggested."""


class Suggestion(NamedTuple):
    """Are these two clusters the same person? `faces`: how many the answer settles: the size of the smaller. `poor`:
    one of the two is a single poor face."""

    first: int
    second: int
    similarity: float
    faces: int
    poor: bool


def cluster(
    embeddings: Floats,
    photos: NDArray[np.integer],
    settled: NDArray[np.integer],
    fixed: NDArray[np.bool_],
    different: Sequence[tuple[int, int]],
    statistics: Statistics | None = None,
    scale: Scale = FITTED,
    loose: NDArray[np.bool_] | None = None,
    clarity: Numbers | None = None,
) -> Indices:
    """The cluster number of each of n faces.

    `embeddings`: (n, d) float32, unit rows. `photos`: (n,) the photograph of each face; two faces in the same one are
    hardly ever one person. `settled`: (n,) each face's cluster so far, -1 for a new face. `fixed`: (n,) faces placed by
    a user: they stay, and clusters of fixed faces are never joined. `different`: pairs of faces to keep apart.
    `statistics`: the cohort statistics of these faces; without them, `scale` says how to rescale the model's
    similarities (see normalisation.py). `loose`: (n,) faces whose cluster so far is provisional: unless they are fixed,
    they start alone again, and their clusters keep their numbers where they can. `clarity`: (n,) how much of its person
    each face shows, 1 for a clear one (evidence.py); poor faces count for less: they join late and bring nobody
    together.

    Settled clusters grow and may be joined, but lose only faces that `different` takes out. A joined cluster keeps the
    number of the one with fixed faces, else of the larger one. New clusters get numbers above all of `settled`. If all
    faces are settled and nothing contradicts that, nothing changes. A few new faces among many cost little.

    Raises ValueError if a fixed face is in no cluster, or `different` from a fixed face of its own cluster.
    """
    so_far: Indices = np.array(settled, np.int64)
    apart = _pairs(different)
    begin = standing(so_far if loose is None else np.where(loose & ~fixed, -1, so_far), fixed, apart)
    if not len(begin.asking):
        return so_far
    where = _counted(photos)
    of_each = in_company(embeddings, weights(len(embeddings), statistics, scale, clarity), where)
    clusters = Clusters(embeddings, of_each, where, begin.member_of, begin.anchored, apart)
    began = np.where(np.isin(np.arange(len(clusters.alive)), begin.asking), 0, clusters.counts).astype(np.int64)
    agglomerate(clusters, begin.asking)
    join_latecomers(clusters, embeddings, of_each, began)
    return numbered(clusters.member_of, so_far, fixed)


def suggestions(
    embeddings: Floats,
    labels: NDArray[np.integer],
    photos: NDArray[np.integer],
    different: Sequence[tuple[int, int]],
    statistics: Statistics | None = None,
    scale: Scale = FITTED,
    limit: int = 100,
    poor: NDArray[np.bool_] | None = None,
    about: int | None = None,
    clarity: Numbers | None = None,
) -> list[Suggestion]:
    """Pairs of clusters that may be one person, those expected to settle the most faces first.

    `labels`: (n,) as returned by `cluster`; the rest as there. At most `limit` pairs. `poor`: (n,) faces about which
    nobody should be asked, each on its own, before everything else is asked. `about`: only pairs of this cluster, which
    comes first in each, the likeliest first.
    """
    numbers, member_of = np.unique(np.asarray(labels, np.int64), return_inverse=True)
    if len(numbers) < 2:
        return []
    nobody = np.zeros(len(numbers), np.bool_)
    where = _counted(photos)
    of_each = in_company(embeddings, weights(len(embeddings), statistics, scale, clarity), where)
    clusters = Clusters(embeddings, of_each, where, member_of, nobody, _pairs(different))
    if about is None:  # the largest clusters only, if there are too many to compare each with all others
        asking = np.argsort(-clusters.counts, kind="stable")[: SUGGESTED_PRODUCTS // len(numbers)]
    else:
        asking = np.flatnonzero(numbers == about)
    first, second = candidates(clusters, asking)
    if about is not None:
        second = np.where(numbers[first] == about, second, first)
        first = np.broadcast_to(asking, second.shape)
    faces = np.minimum(clusters.counts[first], clusters.counts[second])
    # At `evidence_asked`, one person and two are equally likely; a direction's evidence counts 1 / SPREAD^2 times.
    excess = (clusters.evidence(first, second) - evidence_asked(clusters.effective())) / SPREAD**2
    likely = 1 / (1 + np.exp(-np.clip(excess, -50, 50)))
    worth = np.where(likely >= UNLIKELY, likely * (faces if about is None else 1), 0.0)
    of_poor = np.bincount(member_of, np.zeros(len(member_of)) if poor is None else poor, len(numbers)) > 0
    single = of_poor & (clusters.counts == 1)
    late = single[first] | single[second] if about is None else np.zeros(len(first), np.bool_)
    ranked = [pair for pair in np.lexsort((-worth, late)) if worth[pair] > 0][:limit]
    similarity = clusters.similarity(first, second)
    return [
        Suggestion(
            int(numbers[first[pair]]), int(numbers[second[pair]]), float(similarity[pair]), int(faces[pair]),
            bool(late[pair]),
        )
        for pair in ranked
    ]  # fmt: skip


def _pairs(different: Sequence[tuple[int, int]]) -> Indices:
    return np.array(different, np.int64).reshape(-1, 2)


def _counted(photos: NDArray[np.integer]) -> Indices:
    """The same photographs, renumbered from 0."""
    counted: Indices = np.unique(photos, return_inverse=True)[1].astype(np.int64)
    return counted
