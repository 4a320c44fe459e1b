"""`EmbeddingSpec`: everything that determines what an embedding means.

Two embeddings may be compared only if their specs are equal. The gallery stores the spec it was built with, and the
vision package builds its pipeline from a spec.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal, Self


@dataclass(frozen=True, slots=True)
class Crop:
    """How a face is cropped. `square`: the detector's box extended to a square of its longer side and enlarged by
    `margin`.

    `landmarks`: the model aligns by its own landmarks (dlib). `deepface`: the box as DeepFace crops it.
    """

    kind: Literal["square", "landmarks", "deepface"]
    margin: float


@dataclass(frozen=True, slots=True)
class EmbeddingSpec:
    """A model and its preprocessing; embeddings have `dimension` floats and unit length.

    `template_views`: 2 if an enrolled embedding is the mean of the face's and its mirror image's.
    """

    model: str
    weights_sha256: str
    crop: Crop
    colour: Literal["RGB", "BGR"]
    normalisation: str
    input_size: tuple[int, int]
    dimension: int
    template_views: Literal[1, 2]

    def to_json(self) -> str:
        """Canonical JSON: equal specs give equal text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`. Raises ValueError, KeyError or TypeError on any other text."""
        fields = json.loads(text)
        fields["crop"] = Crop(**fields["crop"])
        width, height = fields["input_size"]
        fields["input_size"] = (width, height)
        return cls(**fields)

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that identify this spec in file names and messages."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]
