"""The recall of search by sketches on templates spread as FaceNet's are, at a size that a test can build."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.server.gallery.search.index import ExactIndex
from facewire.server.gallery.search.rows import Chunk, Rows, derived_by, unscaled
from facewire.server.gallery.search.sketch import SketchIndex
from tests.support.galleries import people_like

TEMPLATES, PEOPLE, PROBES, DIMENSION = 20_000, 8_700, 400, 512
"""LFW has 2.3 pictures a person too."""


@pytest.fixture(scope="module")
def drawn() -> tuple[Rows, NDArray[np.float32]]:
    """Templates, and further pictures of the same people."""
    vectors, owners = people_like(np.random.default_rng(21), PEOPLE, TEMPLATES + PROBES, DIMENSION)
    ids = range(1, TEMPLATES + 1)
    chunk = Chunk(vectors[:TEMPLATES], ids, ids, owners[:TEMPLATES].tolist())
    return Rows.load(TEMPLATES, DIMENSION, [chunk], derived_by(unscaled), exact_bytes=0), vectors[TEMPLATES:]


def recall_at_1(rows: Rows, probes: NDArray[np.float32]) -> float:
    exact, index = ExactIndex(rows.embeddings, rows.person_ids), rows.index
    assert isinstance(index, SketchIndex)
    return float(np.mean([index.search(probe, 1) == exact.search(probe, 1) for probe in probes]))


def test_people_who_are_enrolled(drawn: tuple[Rows, NDArray[np.float32]]) -> None:
    rows, probes = drawn
    assert recall_at_1(rows, probes) >= 0.995


def test_strangers(drawn: tuple[Rows, NDArray[np.float32]]) -> None:
    """Harder, for nobody stands out, and as important: what a stranger is refused by is the nearest of all."""
    rows, _ = drawn
    strangers, _ = people_like(np.random.default_rng(22), PROBES, PROBES, DIMENSION)
    assert recall_at_1(rows, strangers) >= 0.995
