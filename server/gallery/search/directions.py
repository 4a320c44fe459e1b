"""Codes: a template in 48 bytes, from which an upper bound of its nearness to any probe is computed.

Facenet512's 512 numbers lie in 49 directions, and most of an embedding lies in fewer. A similarity is the dot product
in those directions plus that of the residuals, which is at most the product of the residuals' lengths (Cauchy-Schwarz).
Template and probe are each rounded to 8-bit integers; whatever rounding could take away is added, so that a dot product
of integers, converted, is at least the pair's `nearness`, whatever the vectors are.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WIDTH = 48
"""Numbers in a code. Multiples of 16 are fastest (docs/decisions/0061)."""

_SHARED = 3
"""Numbers of a code that repeat one number: together they weigh as much as a probe needs, which one byte can't."""

DIRECTIONS = WIDTH - 1 - _SHARED
"""Directions in a code; the residual's length and the scale take the other numbers."""

LIMIT = 127
"""Codes lie in -LIMIT to LIMIT."""

STEP = 1.5 / LIMIT
"""What 1 in a code stands for, in coordinates divided by the scale. Facenet512's lie in -1.3 to 1.3; larger ones are
cut off, which loosens that template's bounds."""

_MARGIN = 1 + 3 * math.sqrt(DIRECTIONS) / (2 * (LIMIT - 1))
"""What a template's rounding counts for: 1, and what the probe's own rounding may add."""

_UNIT_SLACK = 1e-4
"""Covers the lengths of embeddings, which are 1 to within UNIT_TOLERANCE, where the probe's rounding meets them."""


class Probe(NamedTuple):
    """A probe's `code`, (WIDTH,) int8. Its dot product with a template's code, less `offset`, times `unit`, is an upper
    bound of their nearness."""

    code: NDArray[np.int8]
    unit: float
    offset: int

    def needed(self, nearness: float) -> int:
        """The least dot product that a template may have which is this near."""
        # A nearness above 0 is rounding, which bounds don't follow.
        return math.floor(max(min(nearness, 0.0) / self.unit - 1e-3, -(2.0**30))) + self.offset


class Directions:
    """Orthonormal directions that hold most of an embedding; immutable and thread-safe."""

    def __init__(self, axes: NDArray[np.float32]) -> None:
        """`axes`: (d, r) orthonormal columns, at most DIRECTIONS; the more of the embeddings they hold, the faster the
        search."""
        dimension, count = axes.shape
        if count > DIRECTIONS:
            raise ValueError(f"{count} directions do not fit into a code, {DIRECTIONS} do")
        self.axes = axes
        # A float32 dot product of unit vectors is off by at most d * eps / 2, the vector of r coordinates by sqrt(r)
        # times that; doubled, for template and probe, with a margin for the shorter sums that follow.
        self._slack = 2 * (dimension + 4 * count) * math.sqrt(count + 2) * float(np.finfo(np.float32).eps)

    @classmethod
    def leading(cls, axes: NDArray[np.float32], inside: NDArray[np.float32], count: int = DIRECTIONS) -> Directions:
        """The `count` directions, within the space of orthonormal `axes` (d, s), that hold most of the given faces'
        coordinates `inside` (m, s); the whole space if it has no more dimensions."""
        found = np.linalg.eigh(inside.T.astype(np.float64) @ inside.astype(np.float64)).eigenvectors  # ascending
        return cls(np.ascontiguousarray(axes @ found[:, ::-1][:, :count], np.float32))

    def codes(self, embeddings: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.int8]:
        """(m, WIDTH) codes of (m, d) unit embeddings with (m,) scales: coordinates and residual's length, divided by
        the scale, and how far 1 / scale exceeds all that was lost by rounding, rounded down."""
        inside, outside = self._parts(embeddings)
        per_step = np.float32(1 / STEP) / scales
        inside *= per_step[:, None]
        rounded = np.rint(inside)
        np.clip(rounded, -LIMIT, LIMIT, out=rounded)
        inside -= rounded
        residual = np.ceil(outside * per_step)
        lost = np.sqrt(np.einsum("ij,ij->i", inside, inside))
        lost += np.maximum(residual - LIMIT, 0) + np.float32(1e-3)
        rest = np.floor((1 - 1.1 * (self._slack + _UNIT_SLACK)) * per_step - np.float32(_MARGIN) * lost) - LIMIT
        count = inside.shape[1]
        codes = np.zeros((len(scales), WIDTH), np.int8)
        codes[:, :count] = rounded
        codes[:, count] = np.minimum(residual, LIMIT)
        # A template that lost more than 1 / scale can't be bounded: its code says that it equals every probe.
        codes[rest < -LIMIT] = 0
        codes[:, count + 1 : count + 1 + _SHARED] = np.clip(rest, -LIMIT, LIMIT)[:, None]
        return codes

    def probe(self, embedding: NDArray[np.float32]) -> Probe:
        """For a (d,) unit embedding."""
        inside, outside = (part[0].astype(np.float64) for part in self._parts(embedding[None]))
        # As fine as the largest number allows.
        largest = max(float(np.abs(inside).max()), float(outside), 1 / _SHARED)
        fineness = math.floor(LIMIT / largest)
        rounded = np.rint(inside * fineness)
        lost = float(np.linalg.norm(inside - rounded / fineness)) + 1e-6
        weight = math.floor(fineness * (1 - lost))
        code = np.zeros(WIDTH, np.int8)
        code[: len(inside)] = rounded
        code[len(inside)] = min(math.ceil(outside * fineness), LIMIT)
        code[len(inside) + 1 : len(inside) + 1 + _SHARED] = [-((weight + at) // _SHARED) for at in range(_SHARED)]
        return Probe(code, STEP / fineness, LIMIT * weight)

    def _parts(self, embeddings: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Coordinates (m, r), and upper bounds of the residuals' lengths, (m,)."""
        inside = embeddings @ self.axes
        squares = np.einsum("ij,ij->i", embeddings, embeddings) - np.einsum("ij,ij->i", inside, inside)
        return inside, np.sqrt(np.asarray(np.maximum(squares, 0) + self._slack, np.float32))
