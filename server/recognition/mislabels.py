"""Does a new picture show somebody else? Judged by the same similarity and threshold as `identify`.

A picture is a likely mislabel if it matches another person's template and none of its own person's. So twins, who
match each other, can both be enrolled. A person's only picture has no others to compare with, so a match with somebody
else is only reported as a doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.gallery_messages import Shortcoming
from facewire.server.comparison import normalised, similarity_for
from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.records import Templates

Floats = NDArray[Any]

WORK = 20_000_000
"""Comparisons per batch: 80 MB."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A picture that matches another person. `similarity`: to that person's template; `threshold`: for this pair;
    `own`: the best similarity to its own person's other pictures, None without any."""

    name: str
    similarity: float
    threshold: float
    own: float | None

    @property
    def is_doubt(self) -> bool:
        """Is there no other picture of the same person to compare with?"""
        return self.own is None

    @property
    def shortcoming(self) -> Shortcoming:
        """The answer's form of this."""
        return Shortcoming("nearer_to_another", self.similarity, self.threshold)

    @property
    def message(self) -> str:
        """An explanation for users."""
        match = f"it matches {self.name} (similarity {self.similarity:.3f}, a match from {self.threshold:.3f})"
        if self.own is None:
            return f"{match}: is that one person under two names?"
        own = f"no other picture of the same person (at most {self.own:.3f})"
        return f"{match} and {own}: does it show {self.name}?"


class OthersFinder:
    """Compares new pictures with everybody enrolled. Thread-safe."""

    def __init__(self, gallery: Gallery, threshold: Callable[[], float]) -> None:
        """`threshold`: returns the current threshold of normalised similarity, see `Judge.threshold`."""
        self._gallery = gallery
        self._threshold = threshold

    def find(self, name: str, embeddings: NDArray[np.float32]) -> list[Elsewhere | None]:
        """For each of (n, d) new templates of `name`, the other person it matches, or None."""
        if not len(embeddings):
            return []
        threshold, theirs = self._threshold(), self._gallery.templates_of(name)
        scales = self._gallery.scales(embeddings)
        own = np.concatenate([theirs.embeddings, embeddings])
        own_scales = np.concatenate([theirs.scales, scales])
        found: list[Elsewhere | None] = []
        for number, (embedding, scale) in enumerate(zip(embeddings, scales, strict=True)):
            others = np.delete(np.arange(len(own)), len(own) - len(embeddings) + number)
            similarities = own[others] @ embedding
            matches = self._gallery.search(embedding, 1, means=False)
            is_other = bool(matches) and matches[0].name != name
            nearest = matches[0].normalised if is_other else -np.inf
            if not _is_elsewhere(nearest, normalised(similarities, own_scales[others] * scale), threshold):
                found.append(None)
                continue
            best = float(similarities.max()) if len(similarities) else None
            needed = similarity_for(threshold, matches[0].scale)
            found.append(Elsewhere(matches[0].name, matches[0].similarity, needed, best))
        return found


def elsewhere_among(
    templates: Templates, names: Sequence[str], rows: NDArray[np.int64], threshold: float
) -> dict[int, Elsewhere]:
    """The same for enrolled templates: those of `rows` that match another person, by row. `names`: by person id."""
    found: dict[int, Elsewhere] = {}
    step = max(1, WORK // max(1, len(templates.person_ids)))
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step]
        similarities = templates.embeddings[chunk] @ templates.embeddings.T
        scales = np.outer(templates.scales[chunk], templates.scales)
        compared = normalised(similarities, scales)
        same = templates.person_ids[chunk][:, None] == templates.person_ids
        others = np.where(same, -np.inf, compared)
        same[np.arange(len(chunk)), chunk] = False
        nearest = others.argmax(axis=1)
        suspicious = _is_elsewhere(others.max(axis=1), np.where(same, compared, -np.inf), threshold)
        for at in np.flatnonzero(suspicious).tolist():
            other = int(nearest[at])
            found[int(chunk[at])] = Elsewhere(
                names[int(templates.person_ids[other])],
                float(similarities[at, other]),
                similarity_for(threshold, float(scales[at, other])),
                float(similarities[at][same[at]].max()) if same[at].any() else None,
            )
    return found


def _is_elsewhere(nearest: float | Floats, own: Floats, threshold: float) -> NDArray[np.bool_]:
    """True if another person's nearest template matches and none of its own person's other templates does.

    Takes normalised similarities. `nearest`: to other people, (n,) or a number; `own`: to its own person's templates,
    (n, m) or (m,), -inf where there is none.
    """
    return np.asarray((nearest >= threshold) & ~(own >= threshold).any(axis=-1))
