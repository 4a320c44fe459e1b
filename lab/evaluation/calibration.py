"""Calibration error: the gap between stated confidence and accuracy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 15  # of equal width, as in Guo et al. 2017, for comparability


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error: the gap between mean confidence and accuracy in 15 equally wide bins of confidence,
    weighted by the number of answers in each."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(float(np.sum(confidence[bins == number] - right[bins == number]))) for number in range(BINS)]
    return sum(gaps) / len(confidence)
