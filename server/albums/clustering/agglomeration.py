"""Joining clusters until no two are likely enough to be one person.

Reciprocal agglomeration: each round joins all pairs of clusters that are each other's best, which for average linkage
gives the same tree as joining one pair at a time. Evidence decides whether a pair may be joined; mean similarity
decides which pair is best, or one large cluster would swallow its neighbours one per round.
"""

from __future__ import annotations

import numpy as np

from facewire.server.albums.clustering.clusters import Clusters
from facewire.server.albums.clustering.evidence import evidence_asked
from facewire.server.albums.clustering.neighbours import candidates
from facewire.server.albums.clustering.normalisation import Indices


def agglomerate(clusters: Clusters, asking: Indices) -> None:
    """Joins clusters of the same person. `asking`: the new clusters; the others have been compared with each other."""
    while len(asking):
        before = clusters.counts.copy()
        _Pairs(clusters, *candidates(clusters, asking)).join_all()
        asking = np.flatnonzero(clusters.alive & (clusters.counts > before))


class _Pairs:
    """Candidate pairs with their evidence, kept up to date while clusters are joined."""

    def __init__(self, clusters: Clusters, first: Indices, second: Indices) -> None:
        self._clusters = clusters
        self._first, self._second = first, second
        self._evidence = clusters.evidence(first, second)
        self._similarity = clusters.similarity(first, second)

    def join_all(self) -> None:
        while len(self._first):
            enough = np.flatnonzero(self._evidence >= evidence_asked(self._clusters.effective()))
            if not len(enough):
                return
            chosen = self._each_others_best(enough)
            kept, absorbed = self._first[chosen], self._second[chosen]
            self._clusters.join(kept, absorbed)
            self._follow(kept, absorbed)

    def _each_others_best(self, among: Indices) -> Indices:
        first, second = self._first[among], self._second[among]
        rank = np.empty(len(among), np.int64)
        rank[np.lexsort((second, first, -self._similarity[among]))] = np.arange(len(among))
        best = np.full(len(self._clusters.alive), len(among))
        np.minimum.at(best, first, rank)
        np.minimum.at(best, second, rank)
        reciprocal: Indices = among[(best[first] == rank) & (best[second] == rank)]
        return reciprocal

    def _follow(self, kept: Indices, absorbed: Indices) -> None:
        """Updates the pairs after a round of joining."""
        size = len(self._clusters.alive)
        now = np.arange(size)
        now[absorbed] = kept
        grown = np.zeros(size, np.bool_)
        grown[kept] = True
        one, other = now[self._first], now[self._second]
        changed = grown[one] | grown[other]
        keys = np.unique((np.minimum(one, other) * size + np.maximum(one, other))[changed & (one != other)])
        first, second = np.divmod(keys, size)
        self._first = np.concatenate([one[~changed], first])
        self._second = np.concatenate([other[~changed], second])
        self._evidence = np.concatenate([self._evidence[~changed], self._clusters.evidence(first, second)])
        self._similarity = np.concatenate([self._similarity[~changed], self._clusters.similarity(first, second)])
