"""A server of albums with the synthetic engine as a process of its own, so that it can be killed.

`python -m tests.support.albums_server ROOM SLOW`: prints its port; every picture takes SLOW seconds.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from client import FaceClient
from tests.support.albums import album_service, listening
from tests.support.server_process import ROOT, environment
from tests.support.synthetic_engine import SyntheticEngine


def main() -> None:
    room, slow = Path(sys.argv[1]), float(sys.argv[2])
    engine = SyntheticEngine(model="Facenet512", before_embedding=lambda _: time.sleep(slow))
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
            port = int(process.stdout.readline())
            with FaceClient("127.0.0.1", port, timeout=60) as client:
                yield client, process
        finally:
            process.kill()


if __name__ == "__main__":
    main()
