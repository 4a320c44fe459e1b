"""Identifies the network in a weights file by what it computes, not by its bytes.

The same network exists as several files: Keras with 32-bit or 16-bit weights, and ONNX. An embedding spec names the
network, so that galleries and the cohort work with any of them. The network embeds synthetic pictures, and the results
are compared with stored results of the known network (data/models/*-reference.npz). Networks from another training run,
or fine-tuned ones, embed the same pictures in very different directions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewire.models import FOLDER
from facewire.server.vision.embedder import NORMALISATIONS, unit_rows
from facewire.server.vision.models import ModelCard
from facewire.server.vision.runtime import Floats, Network

SAME = 0.9999
"""Minimum cosine, for every picture, at which two networks count as the same. Networks with 16-bit and 32-bit weights
agree to 0.999997 (`server.vision.runtime.save_model`), in float32 arithmetic on every processor."""

_PICTURES = 8
_CELLS = 5  # per side: FaceNet separates such pictures, to cosines of 0.6 to 0.93


def identity(card: ModelCard, network: Network, weights_sha256: str) -> str:
    """The sha256 that stands for these weights in an embedding spec: that of the known network's file if they are that
    network, else their own. `network`: computes in float32, fed as on the card; columns after the embedding are
    ignored."""
    known = _reference(card)
    if known is None:
        return weights_sha256
    name, expected = known
    agreement = np.sum(reference_embeddings(card, network) * expected, axis=1)
    return name if agreement.min() >= SAME else weights_sha256


def canonical(card: ModelCard) -> str | None:
    """The sha256 of this model's known network, if there is one."""
    known = _reference(card)
    return known and known[0]


def reference_embeddings(card: ModelCard, network: Network) -> Floats:
    """(pictures, dimension) unit embeddings of the reference pictures."""
    pictures = reference_pictures(card.input_size).astype(np.float32)
    return unit_rows(network(NORMALISATIONS[card.normalisation](pictures))[:, : card.dimension])


def reference_path(card: ModelCard) -> Path:
    """The path for the known network's `embeddings` (pictures, dimension) and `sha256`, whether or not it exists."""
    return FOLDER / f"{card.name.lower()}-reference.npz"


def reference_pictures(size: tuple[int, int]) -> NDArray[np.uint8]:
    """(pictures, height, width, 3) RGB clouds of colour, in integer arithmetic, so that they are the same
    everywhere."""
    corners = _drawn(_PICTURES * (_CELLS + 1) ** 2 * 3).reshape(_PICTURES, _CELLS + 1, _CELLS + 1, 3)
    width, height = size
    rows = _between(corners, height, axis=1)
    return (_between(rows, width, axis=2) // (width * height)).astype(np.uint8)


def _drawn(count: int) -> NDArray[np.int64]:
    """Numbers from 0 to 255 of a linear congruential generator; not a library's, which may change."""
    state, numbers = 1, []
    for _ in range(count):
        state = (state * 1103515245 + 12345) % 2**31
        numbers.append(state >> 23)
    return np.array(numbers, np.int64)


def _between(corners: NDArray[np.int64], size: int, axis: int) -> NDArray[np.int64]:
    """Interpolates along an axis: `size` values, each multiplied by `size`."""
    cell, along = np.divmod(np.arange(size) * _CELLS, size)
    weight = along.reshape([-1 if of == axis else 1 for of in range(corners.ndim)])
    between = corners.take(cell, axis) * (size - weight) + corners.take(cell + 1, axis) * weight
    return np.asarray(between, np.int64)


def _reference(card: ModelCard) -> tuple[str, Floats] | None:
    path = reference_path(card)
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as stored:
        return str(stored["sha256"]), np.asarray(stored["embeddings"], np.float32)
