"""create_db with the synthetic engine, which Ray's workers open, too, and which can be held in the middle.

`python -m tests.support.ray_create_db ROOM FOLDER --db DB ...`: each process that embeds writes its id into ROOM. While
the file `hold` is there, which has a number, a process waits before it embeds more faces than that.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from facewire.server.maintenance.create_db import main
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.opening import VisionSettings
from tests.support.synthetic_app import ServedEngine

MODEL = "RAY_TEST_MODEL"
"""The environment variable of a node whose model is another one."""


def open_held(room: Path, vision: VisionSettings) -> ServedEngine:
    """With a decoder of its own."""
    decoder = Decoder(vision.decoding)
    decoder.wait_until_ready()
    model = os.environ.get(MODEL, "Synthetic")
    return ServedEngine(model=model, grain=0.05, decoder=decoder, before_embedding=partial(wait_in, room))


def wait_in(room: Path, embedded: int) -> None:
    hold = room / "hold"
    if not hold.exists():
        return
    if embedded >= int(hold.read_text()):
        (room / f"{os.getpid()}.waiting").touch()
        while hold.exists():
            time.sleep(0.02)


if __name__ == "__main__":
    # Background jobs of a shell ignore Ctrl-C, and children inherit that; this process must act like a foreground job.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(sys.argv[2:], open_engine=partial(open_held, Path(sys.argv[1]))))
