"""A real server of a real gallery, whose networks are replaced by colours: enrolling takes no time and never errs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewire.client import FaceClient
from facewire.server.app import Recognition, compose
from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.spec import EmbeddingSpec
from facewire.server.tcp.dispatch import Dispatcher
from facewire.server.tcp.listener import Listener
from facewire.server.vision.analyser import Analyser
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.detector import Detection
from facewire.server.vision.embedder import Embedder
from facewire.server.vision.engine import Face, Picture
from facewire.server.vision.image import ImageLimits
from facewire.server.vision.quality import FaceQuality
from tests.support.decoders import shared_decoder
from tests.support.galleries import spec
from tests.support.synthetic_engine import DIMENSION, LENGTH, LEVEL, identity, painted_faces, painted_quality

SPEC: EmbeddingSpec = replace(spec(DIMENSION, "Facenet512"), template_views=2)
"""As Facenet512's, but for the dimension, so that there is a threshold for it."""


class PaintedDetector:
    """Finds patches of one colour."""

    name = "painted"
    enough = 640
    sure = 0.0

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        return [Detection(face.box, face.landmarks, face.detection) for face in painted_faces(image)]

    def glance(self, image: NDArray[np.uint8]) -> list[Detection]:
        return self.detect(image)


class ColourEngine:
    """Embeds a patch by its colour."""

    def crop(self, image: NDArray[np.uint8], face: Detection) -> NDArray[np.uint8]:
        x, y, width, height = (round(value) for value in face.box)
        return np.ascontiguousarray(image[y : y + height, x : x + width])

    def forward(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        # BGR, as painted_faces has it: the number of a colour is that of the file as drawn.
        middles = [np.rint(crop[len(crop) // 2, len(crop[0]) // 2][::-1] / LEVEL) for crop in crops]
        return np.stack([identity(tuple(middle)) for middle in middles])


def by_colour(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """A network that DeepFace's inputs can be fed to: (n, height, width, 3) BGR from 0 to 1 -> embeddings, LENGTH
    long."""
    middles = [one[len(one) // 2, len(one[0]) // 2] * 255 / LEVEL for one in batch]
    return LENGTH * np.stack([identity(tuple(np.rint(middle))) for middle in middles])


class PaintedAnalyser(Analyser):
    """Knows that patches of one colour are all the detail there is."""

    def quality(self, face: Face, picture: Picture) -> FaceQuality:
        return painted_quality(face)

    def check(self) -> float:
        return 0.0  # no network to try


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves, and where."""

    service: Recognition
    address: tuple[str, int]

    def client(self) -> FaceClient:
        """Another client, connected at its first request."""
        return FaceClient(*self.address, timeout=60)


@dataclass(frozen=True, slots=True)
class Living(Serving):
    """The same of a database file."""

    gallery: SqliteGallery


@contextlib.contextmanager
def painted_analyser(decoder: Decoder | None = None) -> Iterator[Analyser]:
    embedder = Embedder(SPEC, ColourEngine(), open_bare=lambda: by_colour)
    analyser = PaintedAnalyser(PaintedDetector(), embedder, None, decoder or shared_decoder(), ImageLimits())
    try:
        yield analyser
    finally:
        analyser.close()


@contextlib.contextmanager
def living_service(db: Path, decoder: Decoder | None = None) -> Iterator[tuple[Recognition, SqliteGallery]]:
    """A service on the gallery at `db`, which is created where it is missing."""
    with (
        painted_analyser(decoder) as analyser,
        SqliteGallery.open(db) if db.exists() else SqliteGallery.create(db, SPEC) as gallery,
    ):
        yield compose(analyser, gallery, 0.01, runtime="colours"), gallery


@contextlib.contextmanager
def living_server(db: Path, decoder: Decoder | None = None) -> Iterator[Living]:
    """The same, served on a free port."""
    with living_service(db, decoder) as (service, gallery), _listening(service) as address:
        yield Living(service, address, gallery)


@contextlib.contextmanager
def serving(gallery: Gallery) -> Iterator[Serving]:
    """A server of any gallery for SPEC."""
    with painted_analyser() as analyser:
        service = compose(analyser, gallery, 0.01, runtime="colours")
        with _listening(service) as address:
            yield Serving(service, address)


@contextlib.contextmanager
def _listening(service: Recognition) -> Iterator[tuple[str, int]]:
    listener = Listener(Dispatcher(service), "127.0.0.1", 0)
    listener.start()
    try:
        yield listener.address
    finally:
        assert listener.stop(), "the server could not end its threads"
