"""Reads mapped embeddings once, in a thread of its own, so that searches find them in memory."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

_ROWS = 4096
"""Rows between two looks whether to stop: 8 MB at 512 dimensions."""


class Warming:
    """Runs until it has read everything, or until it is closed. A search before that waits for the disk where it must:
    some hundred places of the file, 15 ms instead of 2."""

    def __init__(self, embeddings: NDArray[np.float32]) -> None:
        """`embeddings`: (n, d), mapped from a file."""
        self._embeddings = embeddings
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gallery-warming", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        for at in range(0, len(self._embeddings), _ROWS):
            if self._closing.is_set():
                break
            self._embeddings[at : at + _ROWS, 0].max()  # a number of each row: all pages are touched
        del self._embeddings
