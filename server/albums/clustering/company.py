"""How alike an album's strangers are, learnt from photographs of several people.

Two faces in one photograph are nearly always two people. In a class of children, or a family, they are more alike than
people at large, and everybody else in the album will be too. What they have in common is taken out of all similarities:
s becomes (s - d) / (1 - d), where d is by how much the similarities within photographs exceed those of strangers.
"""

from __future__ import annotations

import numpy as np

from facewire.server.albums.clustering.evidence import MIDDLE
from facewire.server.albums.clustering.normalisation import (
    USUAL_MEAN,
    Floats,
    Indices,
    Numbers,
    Weights,
    face_by_face,
)

DOUBTED = 100
"""As many pairs of usual strangers are assumed besides those of the album: a few photographs say little."""

MOST_ALIKE = 0.25
"""Upper limit of d. FairFace's children have 0.15."""

SAMPLE = 1000
"""Pairs measured, picked evenly."""

AGAIN = 0.5
"""Similarity from which both faces of two pairs are taken for the same two people."""


def in_company(embeddings: Floats, weights: Weights, photos: Indices) -> Weights:
    """The weights of similarities without what the album's strangers have in common. `photos`: (n,), from 0."""
    first, second = _pairs(photos)
    if not len(first):
        return weights
    once = _counting_once(embeddings, weights, first, second)
    similarity = np.diagonal(face_by_face(embeddings, weights, first, second))
    # The median, as a mirror or a collage shows somebody twice.
    order = np.argsort(similarity)
    median = float(similarity[order[np.searchsorted(np.cumsum(once[order]), once.sum() / 2)]])
    alike = min((median - MIDDLE) * once.sum() / (once.sum() + DOUBTED), MOST_ALIKE)
    return _without(weights, alike) if alike > 0 else weights


def _counting_once(embeddings: Floats, weights: Weights, first: Indices, second: Indices) -> Numbers:
    """(m,): how much each pair counts, so that two people count once however often they are seen together. Two
    brothers in a hundred photographs don't make everybody a brother."""
    straight = np.minimum(
        face_by_face(embeddings, weights, first, first), face_by_face(embeddings, weights, second, second)
    )
    crossed = face_by_face(embeddings, weights, first, second)
    again = np.maximum(straight, np.minimum(crossed, crossed.T)) >= AGAIN
    np.fill_diagonal(again, True)
    counts: Numbers = 1 / again.sum(axis=1)
    return counts


def _without(weights: Weights, alike: float) -> Weights:
    growth = 1 / (1 - alike)
    scale = weights.scale * np.sqrt(growth)
    # The constant belongs to every pair; each face's shift bears half of it, as scales are near their mean.
    constant = USUAL_MEAN - growth * (USUAL_MEAN - alike)
    return weights._replace(scale=scale, shift=weights.shift * np.sqrt(growth) + constant / (2 * scale))


def _pairs(photos: Indices) -> tuple[Indices, Indices]:
    """(m,), (m,): the faces of pairs in one photograph."""
    order = np.argsort(photos, kind="stable")
    found = photos[order]
    first, second = [], []
    # A photograph's faces lie next to each other: pair each with the next, the next but one and so on.
    for step in range(1, len(order)):
        together = np.flatnonzero(found[step:] == found[:-step])
        if not len(together):
            break
        first.append(order[together])
        second.append(order[together + step])
    if not first:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    one, other = np.concatenate(first), np.concatenate(second)
    every = -(-len(one) // SAMPLE)
    return one[::every], other[::every]
