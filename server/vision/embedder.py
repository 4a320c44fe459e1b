"""Faces -> embeddings of unit length, as one EmbeddingSpec says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facewire.server.spec import EmbeddingSpec
from facewire.server.vision.alignment import square_crop
from facewire.server.vision.detector import Detection
from facewire.server.vision.image import Pixels
from facewire.server.vision.runtime import Floats, Network


class Engine(Protocol):
    """How one family of models sees a face."""

    def crop(self, image: Pixels, face: Detection) -> Pixels:
        """What the network is shown of `face`, as RGB pixels; cheap, on the thread that decoded the picture."""

    def forward(self, crops: Sequence[Pixels]) -> Floats:
        """(n, d) raw outputs, one forward pass a crop; whatever else the pass tells of the face follows, (n, d + e)."""


class FaceNetEngine:
    """FaceNet on a square crop; `normalisation` is the spec's."""

    def __init__(self, spec: EmbeddingSpec, network: Network) -> None:
        self._spec = spec
        self._network = network
        self._normalised = NORMALISATIONS[spec.normalisation]

    def crop(self, image: Pixels, face: Detection) -> Pixels:
        return square_crop(image, face.box, self._spec.crop.margin, self._spec.input_size)

    def forward(self, crops: Sequence[Pixels]) -> Floats:
        return self._network(self._normalised(np.stack(crops).astype(np.float32)))


class Embedder:
    """An engine under a spec. `probes` costs one forward pass a face, `templates` the spec's `template_views`."""

    def __init__(self, spec: EmbeddingSpec, engine: Engine) -> None:
        self.spec = spec
        self._engine = engine

    def crop(self, image: Pixels, face: Detection) -> Pixels:
        """The engine's crop."""
        return self._engine.crop(image, face)

    def probes(self, crops: Sequence[Pixels]) -> Floats:
        """(n, d) unit-length float32."""
        return self.look(crops)[0]

    def look(self, crops: Sequence[Pixels]) -> tuple[Floats, Floats]:
        """`probes`, and what else the same pass tells, (n, e): logits where an emotion head rides on it, or e is 0."""
        if not crops:
            return np.zeros((0, self.spec.dimension), np.float32), np.zeros((0, 0), np.float32)
        embeddings, others = np.split(self._engine.forward(crops), [self.spec.dimension], axis=1)
        return unit_rows(embeddings), others

    def templates(self, crops: Sequence[Pixels], probes: Floats | None = None) -> Floats:
        """(n, d) unit-length float32; with two views the mean direction of the face and its mirror image.

        `probes`: those of the same crops, where they were computed already.
        """
        plain = self.probes(crops) if probes is None else probes
        if self.spec.template_views == 1 or not crops:
            return plain
        return mean_directions(np.stack([plain, self.probes([mirrored(crop) for crop in crops])]))


def mirrored(crop: Pixels) -> Pixels:
    """Left and right changed."""
    return np.ascontiguousarray(crop[:, ::-1])


def mean_directions(views: Floats) -> Floats:
    """(views, n, d) unit vectors -> (n, d): each face's mean direction, of unit length."""
    return views[0] if len(views) == 1 else unit_rows(views.sum(axis=0))


def unit_rows(rows: NDArray[np.float32]) -> Floats:
    """Every row divided by its Euclidean length."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def _centred(batch: Floats) -> Floats:
    return np.asarray((batch - 127.5) / 128.0, np.float32)


def _standardised(batch: Floats) -> Floats:
    """Each picture by its own mean and deviation, the latter floored as facenet's `prewhiten` does."""
    axes = (1, 2, 3)
    pixels = np.prod(batch.shape[1:])
    deviation = np.maximum(batch.std(axis=axes, keepdims=True), 1.0 / np.sqrt(pixels))
    return np.asarray((batch - batch.mean(axis=axes, keepdims=True)) / deviation, np.float32)


NORMALISATIONS: dict[str, Callable[[Floats], Floats]] = {
    "(x-127.5)/128": _centred,
    "per image: (x-mean)/std": _standardised,
}
