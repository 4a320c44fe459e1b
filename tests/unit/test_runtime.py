"""Batches of any size, computed in parts of a few."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from server.vision.runtime import BATCH_SIZES, Floats, OpenVinoNetwork


class Doubling:
    """A graph that remembers the sizes of what it is fed."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def run(self, batch: NDArray[Any]) -> list[Floats]:
        self.sizes.append(len(batch))
        return [2 * batch]


@pytest.mark.parametrize("faces", range(1, 20))
def test_every_face_is_computed_once_and_in_order(faces: int) -> None:
    graph = Doubling()
    batch = np.arange(3 * faces, dtype=np.float32).reshape(faces, 3)
    assert np.array_equal(OpenVinoNetwork(graph)(batch), 2 * batch)  # type: ignore[arg-type]
    assert sum(graph.sizes) == faces
    assert set(graph.sizes) <= set(BATCH_SIZES)
