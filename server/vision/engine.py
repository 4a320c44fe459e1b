"""The part of `server.vision.analyser.Analyser` that offline commands and albums use, so that tests can replace it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facewire.server.spec import EmbeddingSpec
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.detector import Box, Detection, Landmarks
from facewire.server.vision.quality import FaceQuality


class Face(Protocol):
    """A detected face. `box`: x, y, w, h; `landmarks`: five points; both in pixels of the picture as shown."""

    @property
    def box(self) -> Box: ...
    @property
    def landmarks(self) -> Landmarks: ...
    @property
    def detection(self) -> float: ...
    @property
    def crop(self) -> NDArray[np.uint8]: ...


class Picture(Protocol):
    """A decoded picture with its faces, largest first. `width`, `height`: pixels as shown."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def faces(self) -> Sequence[Face]: ...


class Engine(Protocol):
    """Finds and embeds faces. Thread-safe."""

    @property
    def spec(self) -> EmbeddingSpec: ...

    @property
    def precision(self) -> str:
        """What the recognition network computes in: "int8" or "f32"."""
        ...

    @property
    def decoder(self) -> Decoder:
        """Decodes all pictures."""
        ...

    def faces(self, data: bytes) -> Picture:
        """Decode and detect. Raises InvalidImage."""
        ...

    def quality(self, face: Face, picture: Picture) -> FaceQuality:
        """Measures how clearly a face can be seen."""
        ...

    def pointed_at(self, data: bytes, boxes: Sequence[Box]) -> Sequence[Face | None]:
        """The faces in boxes that somebody drew, in pixels of the picture as shown; None where none can be made out.
        Raises InvalidImage."""
        ...

    def fingerprint(self, data: bytes) -> bytes:
        """A perceptual hash that recognises copies of a picture. Raises InvalidImage."""
        ...

    def cut(self, data: bytes, face: Detection) -> NDArray[np.uint8]:
        """The network's input for a face that was found in this picture earlier. Raises InvalidImage."""
        ...

    def templates(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(n, d) float32 embeddings of unit length, as enrolled."""
        ...

    def close(self) -> None: ...
