"""Calibration error, the gap between stated confidence and accuracy, and how uncertain both are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 15  # of equal width, as in Guo et al. 2017, for comparability
DRAWS = 200
DEVIATIONS = 1.96  # of a normal distribution, on either side of 95 %


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error: the gap between mean confidence and accuracy in 15 equally wide bins of confidence,
    weighted by the number of answers in each."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(float(np.sum(confidence[bins == number] - right[bins == number]))) for number in range(BINS)]
    return sum(gaps) / len(confidence)


def calibration_error_by_chance(confidence: NDArray[np.float64]) -> float:
    """The calibration error to expect of answers with these confidences that are right exactly as often as they say:
    what remains is the noise of their number. Deterministic."""
    choice = np.random.default_rng(0)
    errors = [calibration_error(confidence, choice.random(len(confidence)) < confidence) for _ in range(DRAWS)]
    return float(np.mean(errors))


def accuracy_interval(right: NDArray[np.bool_]) -> tuple[float, float]:
    """Wilson's 95 % interval of the accuracy of answers like these, of which there must be one."""
    count, share, square = len(right), float(right.mean()), DEVIATIONS**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = DEVIATIONS * float(np.sqrt(share * (1 - share) / count + square / (4 * count**2))) / (1 + square / count)
    return middle - half, middle + half
