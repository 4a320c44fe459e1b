"""Who is who: faces into clusters, around what is settled.

Average linkage (similarity of two clusters: the mean over their pairs of faces), merging the nearest first, down to a
fixed similarity; memory and time grow with the square of the number of clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOWEST_SIMILARITY = 0.65  # cosine; distance 0.35: B-cubed F 0.953 on LFW with Facenet512
SUGGESTED_SIMILARITY = 0.45  # below it two clusters of one person are rarer than a user's patience


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Embeddings of other people, to normalise similarities by. `embeddings`: (m, d) float32 of unit length."""

    embeddings: NDArray[np.float32]


def cluster(
    embeddings: NDArray[np.float32],
    photos: NDArray[np.int64],
    settled: NDArray[np.int64],
    fixed: NDArray[np.bool_],
    different: Sequence[tuple[int, int]],
    cohort: Cohort | None = None,
) -> NDArray[np.int64]:
    """The cluster of every face, as numbers from 0 on.

    `embeddings`: (n, d) float32 of unit length; `photos`: (n,) the photo of each face, whose faces are not one person,
    softly; `settled`: (n,) the number of the cluster that a face is in, -1 for a new one; `fixed`: (n,) placed by a
    user, never moved; `different`: pairs of faces that never meet. Numbers of clusters that live on are kept, new
    ones are larger than any that was settled.
    """
    if not len(embeddings):
        return np.zeros(0, np.int64)
    groups = _initial_groups(settled)
    _merge(groups, embeddings, photos, fixed, different)
    return _numbered(groups, settled, fixed)


def suggestions(
    embeddings: NDArray[np.float32],
    labels: NDArray[np.int64],
    photos: NDArray[np.int64],
    different: Sequence[tuple[int, int]],
    cohort: Cohort | None = None,
) -> list[tuple[int, int, float, int]]:
    """Pairs of clusters that may be one person: (one, other, similarity, faces settled by an answer), best first."""
    numbers = np.unique(labels[labels >= 0])
    if len(numbers) < 2:
        return []
    means = np.stack([embeddings[labels == number].mean(axis=0) for number in numbers])
    counts = np.array([np.count_nonzero(labels == number) for number in numbers])
    parted = {frozenset((int(labels[i]), int(labels[j]))) for i, j in different}
    similarity = means @ means.T
    found = []
    for a, b in zip(*np.nonzero(np.triu(similarity >= SUGGESTED_SIMILARITY, 1)), strict=True):
        one, other = int(numbers[a]), int(numbers[b])
        if frozenset((one, other)) not in parted:
            found.append((one, other, float(similarity[a, b]), int(min(counts[a], counts[b]))))
    return sorted(found, key=lambda pair: (-pair[3] * pair[2], pair))


def _initial_groups(settled: NDArray[np.int64]) -> list[list[int]]:
    kept = [np.flatnonzero(settled == number).tolist() for number in np.unique(settled[settled >= 0])]
    return kept + [[int(face)] for face in np.flatnonzero(settled < 0)]


def _merge(
    groups: list[list[int]],
    embeddings: NDArray[np.float32],
    photos: NDArray[np.int64],
    fixed: NDArray[np.bool_],
    different: Sequence[tuple[int, int]],
) -> None:
    sums = np.stack([embeddings[group].sum(axis=0, dtype=np.float64) for group in groups])
    sizes = np.array([len(group) for group in groups], np.float64)
    similarity = sums @ sums.T / np.outer(sizes, sizes)
    group_of = np.empty(len(embeddings), np.int64)
    for number, group in enumerate(groups):
        group_of[group] = number
    held = np.array([bool(fixed[group].any()) for group in groups])
    forbidden = np.outer(held, held)
    for one, other in different:
        forbidden[group_of[one], group_of[other]] = forbidden[group_of[other], group_of[one]] = True
    seen = [set(photos[group].tolist()) for group in groups]
    for i in range(len(groups)):
        for j in range(i):
            if seen[i] & seen[j]:
                forbidden[i, j] = forbidden[j, i] = True
    np.fill_diagonal(forbidden, True)
    similarity[forbidden] = -np.inf
    while True:
        one, other = map(int, np.unravel_index(np.argmax(similarity), similarity.shape))
        if similarity[one, other] < LOWEST_SIMILARITY:
            return
        weights = sizes[one], sizes[other]
        joined = (similarity[one] * weights[0] + similarity[other] * weights[1]) / sum(weights)
        joined[forbidden[one] | forbidden[other]] = -np.inf
        forbidden[one] |= forbidden[other]
        forbidden[:, one] = forbidden[one]
        similarity[one], similarity[:, one] = joined, joined
        similarity[other], similarity[:, other] = -np.inf, -np.inf
        forbidden[other], forbidden[:, other] = True, True
        sizes[one] += sizes[other]
        groups[one] += groups[other]
        groups[other].clear()


def _numbered(groups: list[list[int]], settled: NDArray[np.int64], fixed: NDArray[np.bool_]) -> NDArray[np.int64]:
    labels = np.empty(len(settled), np.int64)
    following = max(-1, int(settled.max(initial=-1))) + 1
    for group in filter(None, groups):
        members = np.array(group)
        known = members[settled[members] >= 0]
        held = known[fixed[known]]
        voters = settled[held if len(held) else known]
        if len(voters):
            numbers, votes = np.unique(voters, return_counts=True)
            labels[members] = numbers[np.argmax(votes)]
        else:
            labels[members] = following
            following += 1
    return labels
