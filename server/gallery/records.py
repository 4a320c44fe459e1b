"""The gallery's input and output: plain frozen values, without SQL or index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.server import comparison

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels of the picture as shown."""

Landmarks = tuple[tuple[float, float], ...]
"""Points in pixels of the picture as shown, in the detector's order."""


@dataclass(frozen=True, slots=True, eq=False)
class NewTemplate:
    """A face to enrol. `embedding`: (d,) float32 of unit length; `detection`: the detector's confidence, 0 to 1;
    `crop`: a small JPEG of the face for display."""

    embedding: NDArray[np.float32]
    box: Box
    landmarks: Landmarks
    detection: float
    crop: bytes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class NewPicture:
    """A picture to enrol with the faces taken from it (at least one).

    `sha256`: hex digest of the file's bytes; `size_bytes`: their number; `width`, `height`: pixels as shown. `path`:
    the picture's name in search results, relative to `source`, the absolute folder it was read from, if any. A picture
    received over the wire has no source and no `mtime_ns`. `fingerprint`: perceptual hash (server.vision.analyser)
    that recognises copies; None if not computed.
    """

    sha256: str
    size_bytes: int
    path: str
    width: int
    height: int
    templates: tuple[NewTemplate, ...]
    source: str | None = None
    mtime_ns: int | None = None
    fingerprint: bytes | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """A subject. `created`: when they were first enrolled, ISO 8601 in UTC."""

    id: int
    name: str
    created: str


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """A person with the numbers of their pictures and of templates that search can find them by; `first`: the oldest of
    these templates, 0 if there is none."""

    id: int
    name: str
    created: str
    images: int
    templates: int
    first: int = 0


@dataclass(frozen=True, slots=True)
class Copy:
    """A person's stored picture, by path, that shows the same as another one. `difference` between the two: see
    `server.gallery.search.lookalikes`; 0 for identical bytes."""

    path: str
    difference: float


@dataclass(frozen=True, slots=True)
class KeptTemplate:
    """A stored template; `image`: its picture's path; `created`: when it was enrolled; `crop`: a JPEG."""

    id: int
    image: str
    box: Box
    detection: float
    created: str
    crop: bytes | None


@dataclass(frozen=True, slots=True)
class Match:
    """How near a person is to a probe, by their best template or by the mean direction of all their templates.

    `similarity`: cosine, -1 to 1; `distance`: Euclidean between the unit vectors, 0 to 2; `image`: the path of the best
    template's picture. `scale`: the probe's scale times the template's or mean's, from the cohort (see `normalised`); 1
    without a cohort.
    """

    name: str
    similarity: float
    distance: float
    image: str
    template_id: int
    person_id: int
    scale: float = 1.0

    @property
    def normalised(self) -> float:
        """The score for ranking and decisions: 1 if identical; with a cohort, 0 if as near as near strangers come."""
        return comparison.normalised(self.similarity, self.scale)


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a gallery holds."""

    people: int
    images: int
    templates: int


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """Every template at one instant, read-only. `embeddings`: (n, d) float32 of unit length; `person_ids`: (n,);
    `scales`: (n,); the scale of a pair is the product of theirs (see `Match.scale`)."""

    embeddings: NDArray[np.float32]
    person_ids: NDArray[np.int64]
    scales: NDArray[np.float32]
