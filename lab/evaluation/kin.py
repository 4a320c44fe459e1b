"""Which pictures resemble one of a collection like another picture of the same person, or of the same moment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facewire.server.vision.runtime import Floats

KIN = 0.8
"""Cosine of Facenet512's embeddings of two whole pictures from which they count as kin: most often one person
(docs/decisions/0058)."""
BLOCK_ROWS = 1024


def kin_of(faces: Floats, others: Floats) -> NDArray[np.bool_]:
    """(n,) whether each of (n, d) unit embeddings has kin among (m, d) others."""
    if not len(others):
        return np.zeros(len(faces), bool)
    nearest = [(faces[at : at + BLOCK_ROWS] @ others.T).max(axis=1) for at in range(0, len(faces), BLOCK_ROWS)]
    return np.concatenate(nearest) >= KIN if nearest else np.zeros(0, bool)
