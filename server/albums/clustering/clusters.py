"""The clusters under construction: sums over their faces, and constraints and penalties on joining two of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facewire.server.albums.clustering.evidence import PER_SHARED_PHOTO, evidence
from facewire.server.albums.clustering.normalisation import Floats, Indices, Numbers, Weights, across

BLOCK_ROWS = 4096
"""Pairs of clusters compared at once: 16 MB at 512 dimensions."""


class Clusters:
    """k clusters of n faces, numbered 0..k-1. A cluster absorbed by another is no longer `alive`.

    Memory in addition to the embeddings: (k, d) float32.
    """

    def __init__(
        self,
        embeddings: Floats,
        weights: Weights,
        photos: Indices,
        member_of: Indices,
        anchored: NDArray[np.bool_],
        different: Indices,
    ) -> None:
        """`member_of`: (n,) each face's cluster, every one of 0..k-1 used; `anchored`: (k,) clusters never joined with
        each other; `different`: (c, 2) pairs of faces to keep apart."""
        size = len(anchored)
        self.member_of = member_of.copy()
        self.alive = np.ones(size, np.bool_)
        self.counts = np.bincount(member_of, minlength=size).astype(np.float64)
        self.sums = _sums(embeddings, weights.scale * weights.amount, member_of, size)
        self._precisions = np.bincount(member_of, weights.precision, size).astype(np.float64)
        self._amounts = np.bincount(member_of, weights.amount, size).astype(np.float64)
        self._scales = np.bincount(member_of, weights.scale * weights.amount, size).astype(np.float64)
        self._shifts = np.bincount(member_of, weights.shift * weights.amount, size).astype(np.float64)
        self.anchored = anchored.copy()
        self._different = different
        self._in_company = _in_company(photos)
        self._photos = photos
        everyone = np.arange(size)
        # Replace the formula's similarity of each face to itself by 1.
        excess = np.bincount(member_of, weights.amount**2 * (weights.itself - 1), size)
        self._totals = self._across(everyone, everyone) - excess

    def evidence(self, first: Indices, second: Indices) -> Numbers:
        """Evidence that each pair of clusters is one person; -inf if they may not be joined."""
        found = self.likeness(first, second) - PER_SHARED_PHOTO * self.shared_photos(first, second)
        found[self.apart(first, second)] = -np.inf
        return found

    def likeness(self, first: Indices, second: Indices) -> Numbers:
        """The evidence of the faces alone: of all faces, or of two with the mean similarity, whichever is greater.

        A person's faces are not independent (two haircuts, two decades), so the full evidence of two large clusters can
        speak against one person even though their faces are that close: 235 pictures of Colin Powell were split in two.
        """
        together = self._across(first, second)
        counts = self._precisions[first], self._precisions[second]
        of_all = evidence(counts, (self._totals[first], self._totals[second]), together)
        one, other = np.minimum(self._amounts[first], 1), np.minimum(self._amounts[second], 1)
        of_two = evidence(
            (np.minimum(counts[0], 1), np.minimum(counts[1], 1)),
            (one**2, other**2),
            one * other * together / (self._amounts[first] * self._amounts[second]),
        )
        return np.maximum(of_all, of_two)

    def similarity(self, first: Indices, second: Indices) -> Numbers:
        """The mean similarity, half normalised, between the faces of the two clusters of each pair, clear ones counting
        for more."""
        return self._across(first, second) / (self._amounts[first] * self._amounts[second])

    def effective(self) -> float:
        """The number of living clusters; one of a poor face counts in part, as little can be joined with it."""
        return float(np.minimum(self._precisions[self.alive], 1).sum())

    def join(self, kept: Indices, absorbed: Indices) -> None:
        """Joins each cluster of `absorbed` to the corresponding one of `kept`. No cluster may occur twice."""
        self._totals[kept] += self._totals[absorbed] + 2 * self._across(kept, absorbed)
        for start in range(0, len(kept), BLOCK_ROWS):
            self.sums[kept[start : start + BLOCK_ROWS]] += self.sums[absorbed[start : start + BLOCK_ROWS]]
        for sums in (self.counts, self._precisions, self._amounts, self._scales, self._shifts):
            sums[kept] += sums[absorbed]
        self.anchored[kept] |= self.anchored[absorbed]
        self.alive[absorbed] = False
        now = np.arange(len(self.alive))
        now[absorbed] = kept
        self.member_of = now[self.member_of]

    def apart(self, first: Indices, second: Indices) -> NDArray[np.bool_]:
        """Which pairs users have declared different."""
        forbidden = self.anchored[first] & self.anchored[second]
        if len(self._different):
            pairs = self.member_of[self._different]
            forbidden |= np.isin(self._keys(first, second), self._keys(pairs[:, 0], pairs[:, 1]))
        return forbidden

    def _keys(self, first: Indices, second: Indices) -> Indices:
        return np.minimum(first, second) * len(self.alive) + np.maximum(first, second)

    def _across(self, first: Indices, second: Indices) -> Numbers:
        products = np.empty(len(first))
        for start in range(0, len(first), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            products[block] = np.einsum("ij,ij->i", self.sums[first[block]], self.sums[second[block]])
        return across(
            (self._amounts[first], self._amounts[second]),
            (self._scales[first], self._scales[second]),
            (self._shifts[first], self._shifts[second]),
            products,
        )

    def shared_photos(self, first: Indices, second: Indices) -> Numbers:
        """For each pair of clusters, the number of photographs that show both."""
        faces = self._in_company
        if not len(faces):
            return np.zeros(len(first))
        width = int(self._photos.max()) + 1
        seen = np.unique(self.member_of[faces] * width + self._photos[faces])
        starts = np.searchsorted(seen, np.arange(len(self.alive) + 1) * width)
        sizes = np.diff(starts)
        fewer = np.where(sizes[first] <= sizes[second], first, second)
        pair = np.repeat(np.arange(len(first)), sizes[fewer])
        # Look up the photographs of each pair's smaller cluster in the larger one.
        offset = np.arange(len(pair)) - np.repeat(np.cumsum(sizes[fewer]) - sizes[fewer], sizes[fewer])
        photo = seen[starts[fewer][pair] + offset] % width
        wanted = (first + second - fewer)[pair] * width + photo
        place = np.minimum(np.searchsorted(seen, wanted), len(seen) - 1)
        return np.bincount(pair[seen[place] == wanted], minlength=len(first)).astype(np.float64)


def _sums(embeddings: Floats, scale: Numbers, member_of: Indices, size: int) -> Floats:
    """(size, d): the sum of p_i x_i of each cluster."""
    sums = np.zeros((size, embeddings.shape[1]), np.float32)
    order = np.argsort(member_of, kind="stable")
    for start in range(0, len(order), BLOCK_ROWS):
        faces = order[start : start + BLOCK_ROWS]
        owners, first = np.unique(member_of[faces], return_index=True)
        scaled = embeddings[faces] * scale[faces, None].astype(np.float32)
        sums[owners] += np.add.reduceat(scaled, first, axis=0)
    return sums


def _in_company(photos: Indices) -> Indices:
    """The faces that are not alone in their photograph."""
    _, which, counts = np.unique(photos, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[which] > 1)
