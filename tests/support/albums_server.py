"""A server of albums with the synthetic engine as a process of its own, so that it can be killed.

`python -m tests.support.albums_server ROOM SLOW`: prints its port; every picture takes SLOW seconds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from client import FaceClient
from tests.support.albums import album_service, listening
from tests.support.server_process import ROOT, environment
from tests.support.synthetic_engine import PaintedPicture, SyntheticEngine, portrait

POISON = 62
"""The number of a colour whose portrait kills the server that looks at it, as a bug in a native decoder would."""


class DiedEarly(Exception):
    """It ended before it could say its port."""


class FragileEngine(SyntheticEngine):
    def faces(self, data: bytes) -> PaintedPicture:
        if data == portrait(POISON):
            os._exit(11)
        return super().faces(data)


def main() -> None:
    room, slow = Path(sys.argv[1]), float(sys.argv[2])
    engine = FragileEngine(model="Facenet512", before_embedding=lambda _: time.sleep(slow))
    with album_service(room, engine=engine) as service, listening(service) as (_, port):
        print(port, flush=True)
        sys.stdin.read()


@contextmanager
def killable(room: Path, slow: float = 0.0) -> Iterator[tuple[FaceClient, subprocess.Popen[str]]]:
    """A client of such a server, and its process, which is killed at the end in any case."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.albums_server", str(room), str(slow)],
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
