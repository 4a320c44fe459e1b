"""The part of an analyser that serving requests needs, so that tests can replace it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from facewire.server.asker import WAITS_FOREVER, Asker
from facewire.server.vision.analyser import Features, FoundFace, Picture
from facewire.server.vision.as_deepface import DeepFaceRecipe
from facewire.server.vision.engine import Engine, Face
from facewire.server.vision.runtime import Floats


class ServingEngine(Engine, Protocol):
    """An `Engine` that also embeds faces for many clients at once. Thread-safe; see `Analyser`."""

    def faces(self, data: bytes, *, emotion: bool = False) -> Picture:
        """Decode and detect; `emotion`: prepare the faces for reading emotions, too. Raises InvalidImage and Busy."""
        ...

    def features(self, faces: Sequence[FoundFace], abandoned: Asker = WAITS_FOREVER) -> list[Features]:
        """Embedding and emotion of each face, as a probe. Raises Busy and TimedOut."""
        ...

    def enrolments(self, faces: Sequence[Face], abandoned: Asker = WAITS_FOREVER) -> Floats:
        """(n, d) float32 embeddings of unit length, for enrolment. Raises Busy and TimedOut."""
        ...

    def as_deepface(
        self, data: bytes, recipe: DeepFaceRecipe, abandoned: Asker = WAITS_FOREVER
    ) -> tuple[Picture, Floats]:
        """The faces and their (n, d) embeddings by DeepFace's recipe, of the network's own length. Raises InvalidImage,
        BadRequest for a model without that recipe, Busy and TimedOut."""
        ...

    def check(self) -> float:
        """Run one real inference; returns its milliseconds."""
        ...
