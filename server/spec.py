"""`EmbeddingSpec`: everything that decides what an embedding means.

Two embeddings may be compared only when their specs are equal. The gallery stores the spec it was built with,
and the vision room builds its pipeline from one; this module is what both know.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal, Self


@dataclass(frozen=True, slots=True)
class Crop:
    """How a face is cut out. `square`: the detector's box made square (its longer side), grown by `margin`.

    `landmarks`: the model aligns by its own landmarks (dlib). `deepface`: the box as DeepFace cuts it.
    """

    kind: Literal["square", "landmarks", "deepface"]
    margin: float


@dataclass(frozen=True, slots=True)
class EmbeddingSpec:
    """A model and how it is fed; `dimension` floats come out, of unit length.

    `template_views`: 2 where an enrolled embedding is the mean of the face's and the mirrored face's.
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
        """The spec that `to_json` wrote. Raises ValueError, KeyError or TypeError on anything else."""
        fields = json.loads(text)
        fields["crop"] = Crop(**fields["crop"])
        width, height = fields["input_size"]
        fields["input_size"] = (width, height)
        return cls(**fields)

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that name this spec, in file names and messages."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]
