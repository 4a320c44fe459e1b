"""The part of an analyser that serving requests needs, so that tests can replace it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from facewire.server.vision.analyser import Features, FoundFace, Picture
from facewire.server.vision.batching import Abandoned, never
from facewire.server.vision.engine import Engine, Face
from facewire.server.vision.runtime import Floats


class ServingEngine(Engine, Protocol):
    """An `Engine` that also embeds faces for many clients at once. Thread-safe; see `Analyser`."""

    def faces(self, data: bytes, *, emotion: bool = False) -> Picture:
        """Decode and detect; `emotion`: prepare the faces for reading emotions, too. Raises InvalidImage and Busy."""
        ...

    def features(self, faces: Sequence[FoundFace], abandoned: Abandoned = never) -> list[Features]:
        """Embedding and emotion of each face, as a probe. Raises Busy and TimedOut."""
        ...

    def enrolments(self, faces: Sequence[Face], abandoned: Abandoned = never) -> Floats:
        """(n, d) float32 embeddings of unit length, for enrolment. Raises Busy and TimedOut."""
        ...

    def check(self) -> float:
        """Run one real inference; returns its milliseconds."""
        ...
