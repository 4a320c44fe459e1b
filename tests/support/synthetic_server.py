"""A whole server over the synthetic engine: real wire, real service, real gallery, no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from facewire.server.app import compose
from facewire.server.gallery.search.index import EXACT_BYTES
from facewire.server.gallery.sqlite import SqliteGallery as Gallery
from facewire.server.tcp.dispatch import Dispatcher
from facewire.server.tcp.listener import Listener
from facewire.server.vision.analyser import Analyser, Features
from tests.support.synthetic_engine import PaintedFace, PaintedPicture, SyntheticEngine

MODEL = "Facenet512"
"""In name only: the decider knows how far apart its strangers are."""

WATCH_S = 0.02


@dataclass(frozen=True)
class TimedPicture(PaintedPicture):
    timing_ms: dict[str, float] = field(default_factory=dict)


class SyntheticAnalyser(SyntheticEngine):
    """The engine with what serving needs besides."""

    def __init__(self, grain: float) -> None:
        super().__init__(model=MODEL, grain=grain)

    def faces(self, data: bytes, *, emotion: bool = False) -> TimedPicture:
        picture = super().faces(data)
        return TimedPicture(picture.width, picture.height, picture.faces)

    def features(self, faces: Sequence[PaintedFace], abandoned: Callable[[], bool] | None = None) -> list[Features]:
        return [Features(embedding, None) for embedding in self.enrolments(faces)]

    def enrolments(
        self, faces: Sequence[PaintedFace], abandoned: Callable[[], bool] | None = None
    ) -> NDArray[np.float32]:
        return (
            self.templates([face.crop for face in faces]) if faces else np.zeros((0, self.spec.dimension), np.float32)
        )

    def check(self) -> float:
        return 0.0


@contextmanager
def synthetic_server(db: Path, exact_bytes: int = EXACT_BYTES, grain: float = 0.0) -> Iterator[tuple[str, int]]:
    """Serves `db`, made where it is missing; the address. `grain`: see `SyntheticEngine`."""
    analyser = cast(Analyser, SyntheticAnalyser(grain))
    opened = Gallery.open(db, exact_bytes=exact_bytes) if db.exists() else Gallery.create(db, analyser.spec)
    with opened as gallery:
        gallery.watch(WATCH_S)
        service = compose(analyser, gallery, 0.01, runtime="none")
        listener = Listener(Dispatcher(service), "127.0.0.1", 0)
        listener.start()
        try:
            yield listener.address
        finally:
            listener.stop()
