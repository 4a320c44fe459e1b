"""Is a new picture of somebody else? By the similarity, and the threshold, that `identify` decides by.

A picture is called a likely mislabel where another person's template matches it and none of its own person's does. So
twins, who match each other, can both be enrolled; whoever has no other picture can't be told from a mislabel, and is
only reported as a doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.gallery_messages import Shortcoming
from facewire.server.comparison import normalised, similarity_for
from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.records import Match, Templates

WORK = 20_000_000
"""Comparisons at once: 80 MB."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A picture that matches another person. `similarity`: of the two, `threshold`: what a match of them needs, `own`:
    the best similarity among its own person's other pictures, None without any."""

    name: str
    similarity: float
    threshold: float
    own: float | None

    @property
    def is_doubt(self) -> bool:
        """There is nothing of its own person to hold it against."""
        return self.own is None

    @property
    def shortcoming(self) -> Shortcoming:
        """As the wire has it."""
        return Shortcoming("nearer_to_another", self.similarity, self.threshold)

    @property
    def message(self) -> str:
        """In words."""
        match = f"it matches {self.name} (similarity {self.similarity:.3f}, a match from {self.threshold:.3f})"
        if self.own is None:
            return f"{match}: is that one person under two names?"
        own = f"no other picture of its own person (at most {self.own:.3f})"
        return f"{match} and {own}: is it {self.name}'s?"


class OthersFinder:
    """Looks new pictures up among everybody who is enrolled. Thread-safe."""

    def __init__(self, gallery: Gallery, threshold: Callable[[], float]) -> None:
        """`threshold`: from which normalised similarity on `identify` calls two faces a match at the moment."""
        self._gallery = gallery
        self._threshold = threshold

    def find(self, name: str, embeddings: NDArray[np.float32]) -> list[Elsewhere | None]:
        """Of each of (n, d) new templates of `name`: whom it matches instead, and None where all is well."""
        if not len(embeddings):
            return []
        threshold, person = self._threshold(), self._gallery.person(name)
        templates, scales = self._gallery.templates(), self._gallery.scales(embeddings)
        theirs = templates.person_ids == (person.id if person else -1)
        own = np.concatenate([templates.embeddings[theirs], embeddings])
        own_scales = np.concatenate([templates.scales[theirs], scales])
        found: list[Elsewhere | None] = []
        for number, (embedding, scale) in enumerate(zip(embeddings, scales, strict=True)):
            nearest = self._gallery.search(embedding, 1, means=False)
            if not nearest or nearest[0].name == name or nearest[0].normalised < threshold:
                found.append(None)
                continue
            others = np.delete(np.arange(len(own)), len(own) - len(embeddings) + number)
            similarities = own[others] @ embedding
            matched = normalised(similarities, own_scales[others] * scale) >= threshold
            found.append(None if matched.any() else _elsewhere(nearest[0], threshold, similarities))
        return found


def _elsewhere(match: Match, threshold: float, own: NDArray[np.float32]) -> Elsewhere:
    best = float(own.max()) if len(own) else None
    return Elsewhere(match.name, match.similarity, similarity_for(threshold, match.scale), best)


def elsewhere_among(
    templates: Templates, names: Sequence[str], rows: NDArray[np.int64], threshold: float
) -> dict[int, Elsewhere]:
    """The same for many at once, which are among `templates` themselves: of `rows`, those that match another person.

    `names`: by person id.
    """
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
        suspicious = (others.max(axis=1) >= threshold) & ~(same & (compared >= threshold)).any(axis=1)
        for at in np.flatnonzero(suspicious).tolist():
            other = int(nearest[at])
            found[int(chunk[at])] = Elsewhere(
                names[int(templates.person_ids[other])],
                float(similarities[at, other]),
                similarity_for(threshold, float(scales[at, other])),
                float(similarities[at][same[at]].max()) if same[at].any() else None,
            )
    return found
