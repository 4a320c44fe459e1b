"""`python server_app.py`: what takes long and needs no Python begins first, then the rest of the server is imported.

Importing is most of a start, and one core's work. Meanwhile the other loads the libraries of the process that decodes
pictures, which has imports of its own, and OpenVINO's plugin. If either fails, whoever needs it first meets the error
again and reports it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial

from facewire.protocol import memory
from facewire.protocol.launch import EndsAtOnce
from facewire.server.errors import StartError
from facewire.server.logs import log_to_stderr
from facewire.server.settings import parse
from facewire.server.vision import runtime
from facewire.server.vision.decoding.decoder import Decoder


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    settings = parse(sys.argv[1:] if argv is None else argv)
    log_to_stderr(settings.log_level, written=settings.log_format)
    memory.give_back()  # before any thread starts
    with closing(Decoder(settings.vision.decoding)) as decoder:
        # No daemon: the interpreter waits for it, as no thread may be in C++ code when it ends.
        threading.Thread(target=_load, name="loading").start()
        with EndsAtOnce():
            from facewire.server import app
        return app.serve(settings, opening=partial(app.open_engine, decoder=decoder))


def _load() -> None:
    with suppress(StartError):
        runtime.load()
