"""A real server on a real gallery, with colours in place of networks: enrolment is instant and never wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewire.client import FaceClient
from facewire.server.app import Recognition, compose
from facewire.server.gallery.sqlite import SqliteGallery as Gallery
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
from tests.support.synthetic_engine import DIMENSION, LEVEL, identity, painted_faces, painted_quality

SPEC: EmbeddingSpec = replace(spec(DIMENSION, "Facenet512"), template_views=2)
"""Facenet512's except for the dimension, so that there is a threshold for it."""


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
        # BGR, as in painted_faces; reversed, because colours are numbered by the RGB file.
        middles = [np.rint(crop[len(crop) // 2, len(crop[0]) // 2][::-1] / LEVEL) for crop in crops]
        return np.stack([identity(tuple(middle)) for middle in middles])


class PaintedAnalyser(Analyser):
    """An analyser for patches of one colour, without networks or detail."""

    def quality(self, face: Face, picture: Picture) -> FaceQuality:
        return painted_quality(face)

    def check(self) -> float:
        return 0.0  # no network to try


@dataclass(frozen=True, slots=True)
class Living:
    """A running server: its service and address."""

    service: Recognition
    gallery: Gallery
    address: tuple[str, int]

    def client(self) -> FaceClient:
        """Another client, which connects on its first request."""
        return FaceClient(*self.address, timeout=60)


@contextlib.contextmanager
def painted_analyser(decoder: Decoder | None = None) -> Iterator[Analyser]:
    embedder = Embedder(SPEC, ColourEngine())
    analyser = PaintedAnalyser(PaintedDetector(), embedder, None, decoder or shared_decoder(), ImageLimits())
    try:
        yield analyser
    finally:
        analyser.close()


@contextlib.contextmanager
def living_service(db: Path, decoder: Decoder | None = None) -> Iterator[tuple[Recognition, Gallery]]:
    """A service on the gallery at `db`, which is created if missing."""
    with (
        painted_analyser(decoder) as analyser,
        Gallery.open(db) if db.exists() else Gallery.create(db, SPEC) as gallery,
    ):
        yield compose(analyser, gallery, 0.01, runtime="colours"), gallery


@contextlib.contextmanager
def living_server(db: Path, decoder: Decoder | None = None) -> Iterator[Living]:
    """The same, served on a free port."""
    with living_service(db, decoder) as (service, gallery):
        listener = Listener(Dispatcher(service), "127.0.0.1", 0)
        listener.start()
        try:
            yield Living(service, gallery, listener.address)
        finally:
            assert listener.stop(), "the server could not end its threads"
