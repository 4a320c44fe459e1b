"""Synthetic embeddings in any number, to measure clustering at sizes larger than any data set here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DIMENSION = 512
DECAY = 44.0  # decay of the directions' deviations: gives strangers' similarities a spread of 0.15, like FaceNet's
ALIKE = 0.78  # mean similarity of two pictures of a person
SIZES = 2.0  # exponent of the pictures per person: most people appear once, a few in every second photo
MOST = 2000
BLOCK_ROWS = 4096


def crowd(faces: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(faces, 512) unit embeddings in random order, and (faces,) their people. Extra memory: one row per person."""
    choice = np.random.default_rng(seed)
    sizes = np.minimum(choice.zipf(SIZES, faces), MOST)
    people = choice.permutation(np.repeat(np.arange(faces), sizes)[:faces])
    centres = _directions(choice, int(people.max(initial=-1)) + 1)
    embeddings = np.empty((faces, DIMENSION), np.float32)
    for start in range(0, faces, BLOCK_ROWS):
        block = people[start : start + BLOCK_ROWS]
        mixed = np.sqrt(ALIKE) * centres[block] + np.sqrt(1 - ALIKE) * _directions(choice, len(block))
        embeddings[start : start + BLOCK_ROWS] = _unit(mixed)
    return embeddings, people


def _directions(choice: np.random.Generator, count: int) -> NDArray[np.float32]:
    deviations = np.exp(-np.arange(DIMENSION) / DECAY).astype(np.float32)
    return _unit(choice.standard_normal((count, DIMENSION), np.float32) * deviations)


def _unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
