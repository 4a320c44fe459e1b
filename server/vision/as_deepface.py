"""Embeddings as DeepFace makes them, for those who compare with its own: its crop, BGR from 0 to 1, no scaling to unit
length.

They are not comparable with the gallery's, and FaceNet gives them in float32 only: 8-bit rounding was measured for our
own input. So the network is opened a second time, when somebody first asks, and has a queue of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Literal

import numpy as np

from facewire.server.asker import Asker
from facewire.server.errors import BadRequest, Busy
from facewire.server.vision.batching import Batcher
from facewire.server.vision.deepface_models import deepface_crop, deepface_input
from facewire.server.vision.detector import Detection
from facewire.server.vision.embedder import Embedder
from facewire.server.vision.image import Pixels
from facewire.server.vision.runtime import BATCH_SIZES, Floats

DeepFaceRecipe = Literal["deepface", "deepface_unaligned", "deepface_whole"]
"""Aligned by the eyes, not aligned, or the whole picture: what DeepFace does with its detector `skip`."""


class AsDeepFace:
    """Thread-safe; `close` ends its thread."""

    def __init__(self, embedder: Embedder, capacity: int) -> None:
        self._spec = embedder.spec
        self._open_bare = embedder.open_bare
        self._capacity = capacity
        self._opening = threading.Lock()  # guards _batcher and _closed
        self._batcher: Batcher[Floats, Floats] | None = None
        self._closed = False

    def inputs(self, image: Pixels, faces: Sequence[Detection], recipe: DeepFaceRecipe) -> list[Floats]:
        """The network's input for each face, or for the whole picture. Raises BadRequest."""
        self._check()
        width, height = self._spec.input_size
        if recipe == "deepface_whole":
            return [deepface_input(image, (height, width))]
        crops = [deepface_crop(image, face, align=recipe == "deepface") for face in faces]
        # DeepFace scales a face that it has found before it is resized, and a whole picture after that
        return [deepface_input(crop / 255, (height, width)) for crop in crops]

    def embeddings(self, inputs: Sequence[Floats], abandoned: Asker) -> Floats:
        """(n, d) float32. Raises BadRequest, Busy and TimedOut."""
        if not inputs:
            return np.zeros((0, self._spec.dimension), np.float32)
        return np.stack(self._opened().run(inputs, abandoned))

    def close(self) -> None:
        """Finishes the current batch."""
        with self._opening:
            self._closed = True
        if self._batcher is not None:
            self._batcher.close()

    def _check(self) -> None:
        if self._open_bare is None:
            raise BadRequest(f"{self._spec.model} can't be fed as DeepFace does it; use its own recipe")

    def _opened(self) -> Batcher[Floats, Floats]:
        self._check()
        with self._opening:
            if self._closed:
                raise Busy("the server is stopping", retry_after_ms=1000)
            if self._batcher is None:
                assert self._open_bare is not None
                network = self._open_bare()
                self._batcher = Batcher(
                    lambda inputs: list(network(np.stack(inputs))),
                    largest=BATCH_SIZES[-1],
                    capacity=self._capacity,
                    clock=time.monotonic,
                )
            return self._batcher
