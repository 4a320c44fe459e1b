"""A complete server with the synthetic engine: real wire, service and gallery, but no networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facewire.server.app import compose
from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.tcp.dispatch import Dispatcher
from facewire.server.tcp.listener import Listener
from tests.support.galleries import spec
from tests.support.synthetic_engine import DIMENSION, SyntheticEngine

MODEL = "Facenet512"
"""In name only, because the decider has a prior for this model."""

SPEC = spec(DIMENSION, MODEL)

WATCH_S = 0.02


@contextmanager
def synthetic_server(db: Path, grain: float = 0.0) -> Iterator[tuple[str, int]]:
    """Serves `db`, created if missing; yields the address. `grain`: see `SyntheticEngine`."""
    opened = SqliteGallery.open(db) if db.exists() else SqliteGallery.create(db, SPEC)
    with opened as gallery:
        gallery.watch(WATCH_S)
        with synthetic_serving(gallery, grain) as address:
            yield address


@contextmanager
def synthetic_serving(gallery: Gallery, grain: float = 0.0) -> Iterator[tuple[str, int]]:
    """The same of any gallery of SPEC."""
    service = compose(SyntheticEngine(model=MODEL, grain=grain), gallery, 0.01, runtime="none")
    listener = Listener(Dispatcher(service), "127.0.0.1", 0)
    listener.start()
    try:
        yield listener.address
    finally:
        listener.stop()
