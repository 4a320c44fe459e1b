"""How far stated confidence and the part that was right lie apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 15  # equal widths, as in Guo et al. 2017, whose figures others compare with


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error: over 15 equally wide bins of confidence, the gap between mean confidence and the
    part that was right, weighted by how many fall into the bin."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(float(np.sum(confidence[bins == number] - right[bins == number]))) for number in range(BINS)]
    return sum(gaps) / len(confidence)
