"""Tells a re-encoded or resized copy of a stored picture from another picture of the same person.

The difference of two fingerprints (`server.vision.analyser`) is the mean absolute difference of their cells,
relative to their contrast. Measured on LFW: 7,218 copies of 802 pictures (JPEG down to quality 30, WebP, PNG, 0.25 to 2
times the size) differ by at most 0.112, or 0.091 without the copies of a quarter of the size. Of 59,305 pairs of
pictures of one person two are below 0.12, both the same photograph enrolled twice; the closest other pair is at 0.187.
"""

from __future__ import annotations

import numpy as np

LENGTH = 192

SAME = 0.12
"""The largest difference between copies of one picture."""

LEAST_CONTRAST = 8.0
"""Grey levels, of 255. Flatter pictures are treated as having this contrast: dividing by almost nothing would inflate
their differences."""


class Lookalikes:
    """Fingerprints of pictures, numbered in the order added. Not thread-safe."""

    def __init__(self) -> None:
        self._prints = bytearray()

    def add(self, fingerprint: bytes) -> None:
        """Raises ValueError unless `fingerprint` has LENGTH bytes."""
        self._prints += _checked(fingerprint)

    def find(self, fingerprint: bytes) -> int | None:
        """The number of the most similar picture that shows the same, if any. Raises ValueError."""
        found = self.nearest(fingerprint)
        return found[0] if found else None

    def nearest(self, fingerprint: bytes) -> tuple[int, float] | None:
        """As `find`, with the difference, at most SAME. Raises ValueError."""
        if not self._prints:
            return None
        all_cells = np.frombuffer(self._prints, np.uint8).reshape(-1, LENGTH).astype(np.float32)
        cells = np.frombuffer(_checked(fingerprint), np.uint8).astype(np.float32)
        contrast = np.maximum(np.minimum(all_cells.std(axis=1), cells.std()), LEAST_CONTRAST)
        differences = np.abs(all_cells - cells).mean(axis=1) / contrast
        nearest = int(np.argmin(differences))
        return (nearest, float(differences[nearest])) if differences[nearest] <= SAME else None


def _checked(fingerprint: bytes) -> bytes:
    if len(fingerprint) != LENGTH:
        raise ValueError(f"a fingerprint has {LENGTH} bytes, not {len(fingerprint)}")
    return fingerprint
