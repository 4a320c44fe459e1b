"""Face crops -> embeddings of unit length, as an EmbeddingSpec defines them."""

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
    """A family of models: how it crops and embeds faces."""

    def crop(self, image: Pixels, face: Detection) -> Pixels:
        """The network's input for `face`, as RGB pixels; cheap, runs on the thread that decoded the picture."""

    def forward(self, crops: Sequence[Pixels]) -> Floats:
        """(n, d) raw outputs, one forward pass per crop; (n, d + e) if the pass has e further outputs per face."""


OpenBare = Callable[[], Network]
"""Opens the network in float32, to be fed with pixels as they are: (n, height, width, 3) float32 -> (n, d) raw outputs.
An embedder has none if its network needs more than that."""


class FaceNetEngine:
    """FaceNet on a square crop, normalised as in the spec."""

    def __init__(self, spec: EmbeddingSpec, network: Network) -> None:
        self._spec = spec
        self._network = network
        self._normalised = NORMALISATIONS[spec.normalisation]

    def crop(self, image: Pixels, face: Detection) -> Pixels:
        return square_crop(image, face.box, self._spec.crop.margin, self._spec.input_size)

    def forward(self, crops: Sequence[Pixels]) -> Floats:
        return self._network(self._normalised(np.stack(crops).astype(np.float32)))


class Embedder:
    """An engine with its spec. Per face, `probes` takes one forward pass and `templates` the spec's
    `template_views`."""

    def __init__(
        self, spec: EmbeddingSpec, engine: Engine, precision: str = "f32", open_bare: OpenBare | None = None
    ) -> None:
        """`precision`: the arithmetic of the engine, "f32" or "int8"; `open_bare`: see there."""
        self.spec = spec
        self.open_bare = open_bare
        self.precision = precision
        self._engine = engine

    def crop(self, image: Pixels, face: Detection) -> Pixels:
        """As the engine's crop."""
        return self._engine.crop(image, face)

    def probes(self, crops: Sequence[Pixels]) -> Floats:
        """(n, d) unit-length float32 embeddings."""
        return self.look(crops)[0]

    def look(self, crops: Sequence[Pixels]) -> tuple[Floats, Floats]:
        """`probes`, and the pass's further outputs, (n, e): the logits of an attached emotion head; e is 0 without
        one."""
        if not crops:
            return np.zeros((0, self.spec.dimension), np.float32), np.zeros((0, 0), np.float32)
        embeddings, others = np.split(self._engine.forward(crops), [self.spec.dimension], axis=1)
        return unit_rows(embeddings), others

    def templates(self, crops: Sequence[Pixels], probes: Floats | None = None) -> Floats:
        """(n, d) unit-length float32; with two views, the mean direction of the face and its mirror image.

        `probes`: embeddings of the same crops, if already computed.
        """
        if self.spec.template_views == 1 or not crops:
            return self.probes(crops) if probes is None else probes
        views = [*(crops if probes is None else ()), *(mirrored(crop) for crop in crops)]
        seen = self.probes(views)  # in one batch, which shares the cores better than two
        return mean_directions(np.stack([seen[: len(crops)] if probes is None else probes, seen[-len(crops) :]]))


def mirrored(crop: Pixels) -> Pixels:
    """The crop flipped horizontally."""
    return np.ascontiguousarray(crop[:, ::-1])


def mean_directions(views: Floats) -> Floats:
    """(views, n, d) unit vectors -> (n, d): the unit mean direction of each face."""
    return views[0] if len(views) == 1 else unit_rows(views.sum(axis=0))


def unit_rows(rows: NDArray[np.float32]) -> Floats:
    """Each row divided by its Euclidean length."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def _centred(batch: Floats) -> Floats:
    return np.asarray((batch - 127.5) / 128.0, np.float32)


def _standardised(batch: Floats) -> Floats:
    """Each picture standardised by its own mean and deviation, the latter floored as in facenet's `prewhiten`."""
    axes = (1, 2, 3)
    pixels = np.prod(batch.shape[1:])
    deviation = np.maximum(batch.std(axis=axes, keepdims=True), 1.0 / np.sqrt(pixels))
    return np.asarray((batch - batch.mean(axis=axes, keepdims=True)) / deviation, np.float32)


NORMALISATIONS: dict[str, Callable[[Floats], Floats]] = {
    "(x-127.5)/128": _centred,
    "per image: (x-mean)/std": _standardised,
}
