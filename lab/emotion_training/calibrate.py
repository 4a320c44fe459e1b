"""Fits the temperature and the certainty threshold on the validation sets."""

import numpy as np
from numpy.typing import NDArray

TEMPERATURES = np.geomspace(0.25, 4.0, 400)
"""Steps of 0.7 %: finer than 2,500 pictures can resolve."""
CERTAIN_ACCURACY = 0.9
"""Accuracy of the answers called certain: about that of the labels themselves (a tenth of FER2013's are wrong)."""


def probabilities(logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """(n, classes) softmax of the logits over the temperature."""
    raised = np.exp((logits - logits.max(1, keepdims=True)) / temperature)
    return np.asarray(raised / raised.sum(1, keepdims=True))


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The temperature at which the mean confidence is closest to the accuracy.

    The maximum-likelihood temperature (Guo et al. 2017) is dominated by rare confident errors, of which labels that are
    wrong one time in ten have plenty; the one with the least calibration error fits the noise of fifteen small bins.
    """
    accuracy = (logits.argmax(1) == labels).mean()
    return float(min(TEMPERATURES, key=lambda step: abs(probabilities(logits, step).max(1).mean() - accuracy)))


def fit_weight(
    parts: list[tuple[tuple[NDArray[np.int64], NDArray[np.float64]], NDArray[np.float64]]], weights: NDArray[np.float64]
) -> float:
    """The weight of the second logits, relative to the first, with the greatest likelihood of the true labels at its
    best temperature; over ((labels, logits), other logits) of several equally weighted data sets."""

    def loss(weight: float, temperature: float) -> float:
        losses = []
        for (labels, logits), others in parts:
            chances = probabilities(weight * others + (1 - weight) * logits, temperature)
            losses.append(-np.log(chances[np.arange(len(labels)), labels] + 1e-12).mean())
        return float(np.mean(losses))

    return float(min(weights, key=lambda weight: min(loss(weight, step) for step in TEMPERATURES[::20])))


def fit_certainty(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The lowest confidence (two decimals) above which CERTAIN_ACCURACY of the answers are correct; 1 if none."""
    for step in range(30, 100):
        above = confidence >= step / 100
        if above.any() and right[above].mean() >= CERTAIN_ACCURACY:
            return step / 100
    return 1.0
