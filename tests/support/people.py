"""Synthetic embeddings with FaceNet's distribution of similarities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

DIRECTIONS = 40
"""Gives strangers' similarities FaceNet's spread: 1 / sqrt(40) = 0.16."""


def unit(rows: NDArray[np.floating]) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


def crowd(people: NDArray[np.int64], seed: int, alike: float = 0.8, dimension: int = DIRECTIONS) -> Floats:
    """(n, dimension): a face for each number in `people`; `alike`: mean similarity of two faces of a person."""
    choice = np.random.default_rng(seed)
    centres = unit(choice.standard_normal((int(people.max(initial=-1)) + 1, dimension)))
    noise = choice.standard_normal((len(people), dimension)) / np.sqrt(dimension)
    return unit(np.sqrt(alike) * centres[people] + np.sqrt(1 - alike) * noise)


class FewStrangers:
    """A cohort of random directions."""

    def __init__(self, dimension: int = DIRECTIONS, members: int = 300, nearest: int = 20) -> None:
        self._members = unit(np.random.default_rng(0).standard_normal((members, dimension)))
        self._nearest = nearest

    def statistics(self, embeddings: Floats) -> tuple[Floats, Floats]:
        nearest = np.sort(embeddings @ self._members.T, axis=1)[:, -self._nearest :]
        return nearest.mean(axis=1), nearest.std(axis=1)
