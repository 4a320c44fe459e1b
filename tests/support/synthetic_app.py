"""server_app.py with the synthetic engine: real flags, threads, gallery, albums and decoders, but no networks.

`python -m tests.support.synthetic_app --db FILE ...` takes every flag of server_app.py; a database that is not there
is created.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from facewire.server.app import main as serve
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.measures import Measures
from facewire.server.settings import parse
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.opening import VisionSettings
from tests.support.galleries import spec
from tests.support.synthetic_engine import DIMENSION, SyntheticEngine
from tests.support.synthetic_server import MODEL


class ServedEngine(SyntheticEngine):
    """Has a decoder of its own, and closes it."""

    def close(self) -> None:
        self.decoder.close()


def open_synthetic(vision: VisionSettings, measures: Measures) -> ServedEngine:
    decoder = Decoder(vision.decoding)
    decoder.wait_until_ready()
    return ServedEngine(model=MODEL, grain=0.15, decoder=decoder)


def create(db: Path) -> Path:
    """Creates a gallery for this engine, unless there is one."""
    if not db.exists():
        SqliteGallery.create(db, spec(DIMENSION, MODEL)).close()
    return db


def main(argv: Sequence[str]) -> int:
    db = parse(argv).db
    if isinstance(db, Path):
        create(db)
    return serve(argv, opening=open_synthetic)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
