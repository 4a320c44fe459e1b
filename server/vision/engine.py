"""What those who hand pictures to `server.vision.analyser.Analyser` need of it, so that tests can stand in for it."""

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
    """A face as the analyser finds it. `box`: x, y, w, h; `landmarks`: five points; both in pixels as shown."""

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
    """Pictures to faces to templates. Thread-safe."""

    @property
    def spec(self) -> EmbeddingSpec: ...

    @property
    def decoder(self) -> Decoder:
        """The door through which all pictures go."""
        ...

    def faces(self, data: bytes) -> Picture:
        """Decode and detect. Raises InvalidImage."""
        ...

    def quality(self, face: Face, picture: Picture) -> FaceQuality:
        """How well a face of a picture can be seen."""
        ...

    def fingerprint(self, data: bytes) -> bytes:
        """What a picture looks like, by which copies of it are recognised. Raises InvalidImage."""
        ...

    def cut(self, data: bytes, face: Detection) -> NDArray[np.uint8]:
        """What the network is shown of a face that was found in this picture before. Raises InvalidImage."""
        ...

    def templates(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(n, d) float32 of unit length."""
        ...

    def close(self) -> None: ...
