"""A server of albums with the synthetic engine in a separate process, so that it can be killed.

`python -m tests.support.albums_server ROOM SLOW DEATH`: prints its port; every picture takes SLOW seconds. DEATH: when
it kills itself, which can't be timed from outside: "fsync N" (at the N-th fsync of a file), "grouping" (before
clustering), or "" for never.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facewire.client import FaceClient
from facewire.server.gallery.search.cohort import Cohort, Statistics
from facewire.server.vision.analyser import Picture
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.image import Header, ImageLimits
from tests.support.albums import album_service, listening
from tests.support.server_process import ROOT, environment
from tests.support.synthetic_engine import DIMENSION, SyntheticEngine, portrait

if TYPE_CHECKING:
    from _typeshed import HasFileno

POISON = 62
"""The number of a colour whose portrait kills the server, as a bug in a native library would."""

POISONED_HEADER = b"II*\x00 a TIFF that kills the server that opens it"


class DiedEarly(Exception):
    """The server ended before printing its port."""


class FragileEngine(SyntheticEngine):
    def faces(self, data: bytes, *, emotion: bool = False) -> Picture:
        if data == portrait(POISON):
            os._exit(11)
        return super().faces(data)


class FatalCohort(Cohort):
    """Kills the server when clustering starts, as that uses the cohort first."""

    def __init__(self) -> None:
        super().__init__(np.eye(DIMENSION, dtype=np.float32), 3)

    def statistics(self, embeddings: NDArray[np.float32]) -> Statistics:
        die()
        raise AssertionError


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_fsync(number: int) -> None:
    fsync, left = os.fsync, [number]

    def counted(fd: int | HasFileno) -> None:
        left[0] -= 1
        if not left[0]:
            die()
        fsync(fd)

    os.fsync = counted


class FragileDecoder(Decoder):
    """Kills the server on reading a poisoned header. Real decoders can't, but other native code can."""

    def look(self, data: bytes, limits: ImageLimits) -> Header:
        if data == POISONED_HEADER:
            die()
        return super().look(data, limits)


def main() -> None:
    room, slow, death = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    if death.startswith("fsync "):
        die_at_fsync(int(death.removeprefix("fsync ")))
    decoder = FragileDecoder()
    decoder.wait_until_ready()  # as a server does, which so isn't killed while a photo waits for it
    engine = FragileEngine(model="Facenet512", decoder=decoder, before_embedding=lambda _: time.sleep(slow))
    cohort = FatalCohort() if death == "grouping" else None
    with (
        album_service(room, engine=engine, cohort=cohort) as service,
        listening(service) as (_, port),
        closing(decoder),
    ):
        print(port, flush=True)
        sys.stdin.read()


@contextmanager
def killable(room: Path, slow: float = 0.0, death: str = "") -> Iterator[tuple[FaceClient, subprocess.Popen[str]]]:
    """Yields a client of such a server, and its process, which is always killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.albums_server", str(room), str(slow), death],
        cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            port = process.stdout.readline()
            if not port:
                raise DiedEarly
            with FaceClient("127.0.0.1", int(port), timeout=60) as client:
                yield client, process
        finally:
            process.kill()


if __name__ == "__main__":
    main()
