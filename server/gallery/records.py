"""What goes into the gallery and what comes out of it. Plain frozen values; no SQL, no index."""

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
    `crop`: a small JPEG of the face, to be shown."""

    embedding: NDArray[np.float32]
    box: Box
    landmarks: Landmarks
    detection: float
    crop: bytes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class NewPicture:
    """A picture to enrol with the faces taken from it (at least one).

    `sha256`: hex digest of the file's bytes; `size_bytes`: their number; `width`, `height`: pixels as shown.
    `path`: what a match shows as its picture; relative to `source`, the folder it was read from (absolute), where
    there is one. A picture that came over the wire has no source and no `mtime_ns`. `fingerprint`: what it looks like
    (server.vision.fingerprint), by which its copies are recognised; None: nobody looked.
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
    """A person with the number of pictures and templates that search can find them by."""

    id: int
    name: str
    created: str
    images: int
    templates: int


@dataclass(frozen=True, slots=True)
class Copy:
    """A person's stored picture, by its path, that shows the same as another one; `difference`: between the two (see
    `server.gallery.search.lookalikes`), 0 for the very same bytes."""

    path: str
    difference: float


@dataclass(frozen=True, slots=True)
class KeptTemplate:
    """A template as it is stored; `image`: its picture's path; `created`: when that was enrolled; `crop`: a JPEG."""

    id: int
    image: str
    box: Box
    detection: float
    created: str
    crop: bytes | None


@dataclass(frozen=True, slots=True)
class Match:
    """How near a person is to a probe, by their best template or by the mean direction of all of theirs.

    `similarity`: cosine, -1 to 1; `distance`: Euclidean between the unit vectors, 0 to 2; `image`: the path of the
    picture that the best template was taken from. `scale`: of this probe and what it was compared with, from the
    cohort (see `normalised`); 1 without one.
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
        """1: identical; with a cohort, 0: as near as near strangers come. It ranks people and decides."""
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
    `scales`: (n,), see `Match.scale`: that of two templates is the product of theirs."""

    embeddings: NDArray[np.float32]
    person_ids: NDArray[np.int64]
    scales: NDArray[np.float32]
