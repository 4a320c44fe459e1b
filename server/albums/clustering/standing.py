"""Continuity with earlier clusterings: which faces stay together, and which numbers clusters keep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Standing:
    """`member_of`: (n,) each face's initial cluster, 0..k-1; `anchored`: (k,) whether it has a fixed face; `asking`:
    the clusters of a single face that is new or was taken out of its cluster."""

    member_of: Indices
    anchored: NDArray[np.bool_]
    asking: Indices


def standing(settled: Indices, fixed: NDArray[np.bool_], different: Indices) -> Standing:
    """Settled clusters start as they are, without the faces that a constraint takes out; all other faces start alone.

    Raises ValueError if a fixed face has no cluster, or two fixed faces of one cluster are `different`.
    """
    if np.any(fixed & (settled < 0)):
        raise ValueError(f"face {np.flatnonzero(fixed & (settled < 0))[0]} is fixed, but in no cluster")
    alone = settled < 0
    for one, other in different[settled[different[:, 0]] == settled[different[:, 1]]]:
        if fixed[one] and fixed[other]:
            raise ValueError(f"faces {one} and {other} are different people, but fixed in one cluster")
        # If neither is fixed, take both out: each then joins whatever it is closer to.
        alone[one] |= not fixed[one]
        alone[other] |= not fixed[other]
    numbers, member_of = np.unique(settled[~alone], return_inverse=True)
    begun = np.empty(len(settled), np.int64)
    begun[~alone] = member_of
    begun[alone] = len(numbers) + np.arange(np.count_nonzero(alone))
    size = len(numbers) + np.count_nonzero(alone)
    return Standing(begun, np.bincount(begun[fixed], minlength=size) > 0, np.arange(len(numbers), size))


def numbered(clusters: Indices, settled: Indices, fixed: NDArray[np.bool_]) -> Indices:
    """(n,) arbitrary cluster labels -> stable numbers: a cluster's earlier number, or one above all of `settled`.

    If several clusters claim a number, or a cluster claims several, most fixed faces win, then most faces, then the
    lower number.
    """
    claiming = np.flatnonzero(settled >= 0)
    claims, which, votes = np.unique(
        np.stack([clusters[claiming], settled[claiming]]), axis=1, return_inverse=True, return_counts=True
    )
    by_user = np.bincount(which.ravel(), fixed[claiming], len(votes))
    called: dict[int, int] = {}
    taken: set[int] = set()
    for claim in np.lexsort((claims[0], claims[1], -votes, -by_user)):
        cluster, number = int(claims[0, claim]), int(claims[1, claim])
        if cluster not in called and number not in taken:
            called[cluster] = number
            taken.add(number)
    fresh = int(settled.max(initial=-1)) + 1
    names, first, which = np.unique(clusters, return_index=True, return_inverse=True)
    for cluster in names[np.argsort(first)].tolist():
        if cluster not in called:
            called[cluster] = fresh
            fresh += 1
    numbers: Indices = np.array([called[cluster] for cluster in names.tolist()], np.int64)[which]
    return numbers
