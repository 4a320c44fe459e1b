"""DeepFace's distances between embeddings, with its thresholds and its measure of confidence.

The formulas are those of deepface.modules.verification; numbers.json has its published thresholds and the coefficients
of its logistic regressions (a test compares them with the installed package).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

Vector = Sequence[float]

_LOWEST_SAME, _HIGHEST_OTHER = 51.0, 49.0  # confidence, percent, that two pictures show one person; and that they don't


def cosine(one: Vector, other: Vector) -> float:
    """1 minus the cosine of the angle."""
    return 1 - sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


def angular(one: Vector, other: Vector) -> float:
    """The angle as a share of a half turn."""
    return math.acos(max(-1.0, min(1.0, 1 - cosine(one, other)))) / math.pi


def euclidean(one: Vector, other: Vector) -> float:
    """Between the vectors as they are."""
    return math.dist(one, other)


def euclidean_l2(one: Vector, other: Vector) -> float:
    """Between unit vectors."""
    return math.dist(_unit(one), _unit(other))


DISTANCES: Mapping[str, Callable[[Vector, Vector], float]] = {
    "cosine": cosine,
    "euclidean": euclidean,
    "euclidean_l2": euclidean_l2,
    "angular": angular,
}


def of_similarity(metric: str, similarity: float) -> float:
    """The distance of two unit vectors of this cosine. Raises KeyError for `euclidean`, which needs their lengths."""
    formulas: dict[str, Callable[[float], float]] = {
        "cosine": lambda cos: 1 - cos,
        "euclidean_l2": lambda cos: math.sqrt(max(0.0, 2 - 2 * cos)),
        "angular": lambda cos: math.acos(max(-1.0, min(1.0, cos))) / math.pi,
    }
    return formulas[metric](similarity)


def knows(model: str) -> bool:
    """Has DeepFace thresholds for this model?"""
    return model in _numbers()


def threshold(model: str, metric: str) -> float:
    """DeepFace's: two faces no farther apart than this are of one person. Raises KeyError."""
    return float(_numbers()[model][metric]["threshold"])


def confidence(model: str, metric: str, distance: float, *, verified: bool) -> float:
    """DeepFace's, in percent: 51 to 100 if `verified`, else 0 to 49. Raises KeyError."""
    if distance <= 0:
        return 100.0 if verified else 0.0
    known = _numbers()[model][metric].get("confidence")
    if known is None:
        return _LOWEST_SAME if verified else _HIGHEST_OTHER
    w, b, normaliser, min_same, max_same, min_other, max_other = map(float, known)
    logit = w * (distance / normaliser if normaliser > 1 else distance) + b
    likely = 100 / (1 + math.exp(-logit)) if logit >= 0 else 100 * math.exp(logit) / (1 + math.exp(logit))
    if verified:
        low = max(_LOWEST_SAME, min_same)
        said = (likely - min_same) / (max_same - min_same) * (100 - low) + low
        return round(min(100.0, max(_LOWEST_SAME, said)), 2)
    high = min(_HIGHEST_OTHER, int(max_other))
    said = (likely - min_other) / (max_other - min_other) * high
    return round(max(0.0, min(_HIGHEST_OTHER, said)), 2)


def own_confidence(similarity: float, needed: float) -> float:
    """Ours on DeepFace's scale, in percent: from 51 at the threshold to 100 at similarity 1; below, from 49 to 0."""
    if similarity >= needed:
        return round(_LOWEST_SAME + (100 - _LOWEST_SAME) * (similarity - needed) / max(1 - needed, 1e-9), 2)
    return round(_HIGHEST_OTHER * (similarity + 1) / (needed + 1), 2)


def _unit(vector: Vector) -> list[float]:
    length = math.hypot(*vector) + 1e-10  # as DeepFace does, so that a vector of zeros stays one
    return [value / length for value in vector]


@cache
def _numbers() -> dict[str, Any]:
    numbers: dict[str, Any] = json.loads(Path(__file__).with_name("numbers.json").read_text())
    return numbers
