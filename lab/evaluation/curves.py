"""Error rates from similarities, and plots of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Rates = NDArray[np.float64]

WIDTH, HEIGHT, BORDER = 760, 560, 70  # of the picture, in pixels
LOWEST = 1e-4  # the left end of the logarithmic axis


def accepted_at(genuine: NDArray[np.floating], impostor: NDArray[np.floating], far: float) -> float:
    """TAR: the share of `genuine` similarities above the threshold that a share `far` of `impostor` ones exceeds."""
    return float(np.mean(genuine > threshold_at(impostor, far)))


def threshold_at(impostor: NDArray[np.floating], far: float) -> float:
    """The smallest similarity that at most `far` of the impostors exceed."""
    ordered = np.sort(impostor)[::-1]
    return float(ordered[min(int(far * len(ordered)), len(ordered) - 1)])


def equal_error_rate(genuine: NDArray[np.floating], impostor: NDArray[np.floating]) -> float:
    """The rate at which false rejections equal false acceptances."""
    false_accept, true_accept = roc(genuine, impostor)
    at = int(np.argmin(np.abs(false_accept - (1 - true_accept))))
    return float((false_accept[at] + 1 - true_accept[at]) / 2)


def roc(genuine: NDArray[np.floating], impostor: NDArray[np.floating]) -> tuple[Rates, Rates]:
    """False and true acceptance rates at every threshold, from strict to lax."""
    thresholds = np.unique(np.concatenate([genuine, impostor]))[::-1]
    accepted = [1 - np.searchsorted(np.sort(some), thresholds, side="left") / len(some) for some in (impostor, genuine)]
    return accepted[0], accepted[1]


def best_threshold(similarities: NDArray[np.floating], same: NDArray[np.bool_]) -> float:
    """The lowest of the most accurate thresholds, in the middle of a gap between different similarities."""
    order = np.argsort(similarities)
    ordered, truth = similarities[order], same[order]
    # If everything from position i on is called the same, the different ones before it and the same ones after are
    # right.
    right = np.concatenate([[0], np.cumsum(~truth)]) + np.concatenate([np.cumsum(truth[::-1])[::-1], [0]])
    gap = np.concatenate([[True], ordered[1:] != ordered[:-1], [True]])
    at = int(np.argmax(np.where(gap, right, -1)))
    below = ordered[at - 1] if at > 0 else ordered[0] - 1e-6
    above = ordered[at] if at < len(ordered) else ordered[-1] + 1e-6
    return float((below + above) / 2)


def save_curves(path: Path, title: str, accept: Rates, miss: Rates, x_name: str, y_name: str) -> None:
    """Draws a DET-like plot: `miss` over `accept`, both logarithmic."""
    canvas = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    font = cv2.FONT_HERSHEY_SIMPLEX
    decades = round(-float(np.log10(LOWEST)))

    def place(rate_x: float, rate_y: float) -> tuple[int, int]:
        share_x = 1 + np.log10(max(rate_x, LOWEST)) / decades
        share_y = 1 + np.log10(max(rate_y, LOWEST)) / decades
        return round(BORDER + share_x * (WIDTH - 2 * BORDER)), round(HEIGHT - BORDER - share_y * (HEIGHT - 2 * BORDER))

    for decade in range(decades + 1):
        rate = LOWEST * 10**decade
        cv2.line(canvas, place(rate, LOWEST), place(rate, 1), (225, 225, 225), 1)
        cv2.line(canvas, place(LOWEST, rate), place(1, rate), (225, 225, 225), 1)
        label = f"{100 * rate:g}%"
        x, y = place(rate, LOWEST)
        cv2.putText(canvas, label, (x - 18, y + 22), font, 0.42, (90, 90, 90), 1, cv2.LINE_AA)
        x, y = place(LOWEST, rate)
        cv2.putText(canvas, label, (x - 55, y + 4), font, 0.42, (90, 90, 90), 1, cv2.LINE_AA)
    points = np.array([place(float(a), float(b)) for a, b in zip(accept, miss, strict=True)], np.int32)
    cv2.polylines(canvas, [points], False, (160, 80, 20), 2, cv2.LINE_AA)
    cv2.putText(canvas, title, (BORDER, 34), font, 0.6, (40, 40, 40), 1, cv2.LINE_AA)
    cv2.putText(canvas, x_name, (WIDTH // 2 - 90, HEIGHT - 18), font, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    cv2.putText(canvas, y_name, (BORDER, BORDER - 12), font, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", canvas)[1].tobytes())
