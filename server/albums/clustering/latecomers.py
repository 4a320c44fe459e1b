"""Faces that are still alone when everybody else has been found join the person some of whose faces they resemble.

A blurred or turned face is far from the mean of its person, but near the few faces that were taken like it. So it is
compared face by face, with the people nearest to it, and joins if the nearest of a person's faces are on average as
similar as two single faces have to be. Poor faces vouch for no other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facewire.server.albums.clustering.clusters import Clusters
from facewire.server.albums.clustering.evidence import counting, similarity_asked
from facewire.server.albums.clustering.neighbours import nearest
from facewire.server.albums.clustering.normalisation import Floats, Indices, Numbers, Weights, face_by_face

PEOPLE = 4
"""People compared with each face, face by face. With 8, or everybody, the result is the same within a face or two."""

SHARE, LEAST = 1 / 8, 2
"""The share of a person's faces that must be near, and their least number: one could be a stranger put there by
mistake. Chosen on half of the people: docs/decisions/0084."""

VOUCHES = float(counting(np.array(0.6))[1])
"""The precision (normalisation.py) from which a face vouches for others. If all did, a blurred face that joined would
draw in more, each time that an album grows."""

MOST_FACES = 512
"""Of one person's faces, this many are compared, picked evenly."""


BLOCK_FACES = 1024
"""Faces compared with a person at once: 4 MB of similarities."""


def join_latecomers(clusters: Clusters, embeddings: Floats, weights: Weights, began: Indices) -> None:
    """Joins clusters of one face each to larger ones. `began`: (k,) how many faces each cluster began with, 0 if it was
    new: a face that was alone before is only compared with people who have grown since."""
    alone = clusters.alive & (clusters.counts == 1) & ~clusters.anchored
    people = clusters.alive & (clusters.counts > 1)
    grown = people & (clusters.counts > began)
    first, second = _near(clusters, np.flatnonzero(alone & (began == 0)), np.flatnonzero(people))
    settled = _near(clusters, np.flatnonzero(alone & (began > 0)), np.flatnonzero(grown))
    first, second = np.concatenate([first, settled[0]]), np.concatenate([second, settled[1]])
    similarity = _similarity(clusters, embeddings, weights, first, second)
    enough = similarity >= similarity_asked(clusters.effective())
    _join(clusters, first[enough], second[enough], similarity[enough])


def _near(clusters: Clusters, faces: Indices, people: Indices) -> tuple[Indices, Indices]:
    """(m,), (m,): each of `faces`, with each of the people nearest to it."""
    count = min(PEOPLE, len(people))
    if not count or not len(faces):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.repeat(faces, count), nearest(clusters.sums, people, faces, count).ravel()


def _similarity(clusters: Clusters, embeddings: Floats, weights: Weights, first: Indices, second: Indices) -> Numbers:
    """For each pair of a face and a person, the mean similarity of the face to the person's nearest faces."""
    order = np.argsort(clusters.member_of, kind="stable")
    starts = np.searchsorted(clusters.member_of[order], np.arange(len(clusters.alive) + 1))
    found = np.empty(len(first))
    for pairs in np.split(by_person := np.argsort(second, kind="stable"), _changes(second[by_person])):
        if not len(pairs):
            continue
        person = second[pairs[0]]
        members = order[starts[person] : starts[person + 1]]
        members = members[weights.precision[members] >= VOUCHES]
        if len(members) < LEAST:
            found[pairs] = -1.0
            continue
        members = members[:: -(-len(members) // MOST_FACES)]
        near = max(LEAST, round(SHARE * len(members)))
        for start in range(0, len(pairs), BLOCK_FACES):
            block = pairs[start : start + BLOCK_FACES]
            similar = face_by_face(embeddings, weights, order[starts[first[block]]], members)
            found[block] = -np.partition(-similar, near - 1, axis=1)[:, :near].mean(axis=1)
    return found


def _changes(values: Indices) -> Indices:
    """Where sorted values change."""
    return np.flatnonzero(np.diff(values)) + 1


def _join(clusters: Clusters, first: Indices, second: Indices, similarity: Numbers) -> None:
    """Joins each face to the most similar person that it may be joined with. In every round a person takes the most
    similar face, so that of two faces in one photograph only one can join."""
    while len(first):
        allowed = ~clusters.apart(first, second) & (clusters.shared_photos(first, second) == 0)
        first, second, similarity = first[allowed], second[allowed], similarity[allowed]
        best = np.lexsort((second, first, -similarity))
        best = best[_firsts(first[best])]
        best = best[_firsts(second[best])]
        clusters.join(second[best], first[best])
        waiting = clusters.alive[first]
        first, second, similarity = first[waiting], second[waiting], similarity[waiting]


def _firsts(values: Indices) -> NDArray[np.int64]:
    """The place of each value's first occurrence, in ascending order."""
    return np.sort(np.unique(values, return_index=True)[1])
