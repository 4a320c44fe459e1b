"""A whole server over the synthetic engine: real wire, real service, real gallery, no network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facewire.server.gallery.gallery import Gallery
from facewire.server.recognition.decision import Decider
from facewire.server.recognition.service import RecognitionService
from facewire.server.tcp.dispatch import Dispatcher
from facewire.server.tcp.listener import Listener
from tests.support.synthetic_engine import SyntheticEngine

MODEL = "Facenet512"
"""In name only: the decider knows how far apart its strangers are."""

WATCH_S = 0.02


@contextmanager
def synthetic_server(db: Path, grain: float = 0.0) -> Iterator[tuple[str, int]]:
    """Serves `db`, made where it is missing; the address. `grain`: see `SyntheticEngine`."""
    analyser = SyntheticEngine(model=MODEL, grain=grain)
    opened = Gallery.open(db) if db.exists() else Gallery.create(db, analyser.spec)
    with opened as gallery:
        gallery.watch(WATCH_S)
        service = RecognitionService(analyser, gallery, Decider(gallery.spec, 0.01), runtime="none")
        listener = Listener(Dispatcher(service), "127.0.0.1", 0)
        listener.start()
        try:
            yield listener.address
        finally:
            listener.stop()
