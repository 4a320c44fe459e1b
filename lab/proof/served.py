"""A server under test: the real one in a process of its own, with an engine that needs no networks.

A face is a patch of one colour. So everything but the networks is real, and a request takes a few milliseconds.
"""

from __future__ import annotations

import random
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import cv2
import numpy as np

from facewire.protocol.settings import MEBIBYTE
from facewire.scripts.serving import ROOT, last_line, wait_or_kill
from facewire.server.errors import StartError
from facewire.server.processes import children_of

FORMATS = (".jpg", ".png", ".webp", ".bmp", ".tiff")
_SIDE, _FACE = 48, 16  # pixels, of the picture and its face at scale 1
_STOP_TIMEOUT_S = 15.0
_COMMAND = (sys.executable, "-m", "tests.support.synthetic_app", "--port", "0", "--metrics-port")


@dataclass(frozen=True, slots=True)
class Taken:
    """What a server takes of the machine. Bytes of memory of its own: files that it maps, such as libraries, are left
    out, because how much of them counts as whose depends on other processes."""

    memory: int
    decoders: int
    threads: int
    descriptors: int

    def __str__(self) -> str:
        memory, decoders = round(self.memory / MEBIBYTE), round(self.decoders / MEBIBYTE)
        return f"server {memory} MiB, decoders {decoders} MiB, {self.threads} threads, {self.descriptors} descriptors"


@dataclass(frozen=True, slots=True)
class Served:
    """A server that has said it is ready, and the file with its log."""

    process: subprocess.Popen[str]
    port: int
    metrics_port: int
    log: Path

    def taken(self) -> Taken:
        """What it takes now. Raises OSError once it has ended."""
        pid = self.process.pid
        offspring = [grandchild for child in children_of(pid) for grandchild in (child, *children_of(child))]
        threads, descriptors = (len(list(Path(f"/proc/{pid}/{what}").iterdir())) for what in ("task", "fd"))
        return Taken(_anonymous(pid), sum(map(_anonymous, offspring)), threads, descriptors)

    def metrics(self) -> dict[str, float]:
        """Its metrics, each by its name with its labels, as Prometheus' text has them."""
        with urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


@contextmanager
def served(
    room: Path, *flags: str, db: str = "people.db", descriptors: int | None = None, wrapper: Sequence[str] = ()
) -> Iterator[Served]:
    """Serves the database `room`/`db`, which is created if missing. `descriptors`: as of `ulimit -n`; `wrapper`: a
    command that starts it. Raises StartError."""
    log = room / "server.log"
    metrics_port = _free_port()
    command = [*wrapper, *_COMMAND, str(metrics_port), "--db", str(room / db), *flags]
    with (
        log.open("a") as file,
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=file, text=True, preexec_fn=_limited(descriptors)
        ) as server,
    ):
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            if not line.startswith("listening on "):
                raise StartError(f"the server did not start: {last_line(log)}")
            yield Served(server, int(line.rsplit(":", 1)[1]), metrics_port, log)
        finally:
            server.terminate()
            wait_or_kill(server, _STOP_TIMEOUT_S)


def _anonymous(pid: int) -> int:
    """Bytes; what a process shares with its children since it forked them counts in part. 0 if it has ended."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss_Anon:"))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def _limited(descriptors: int | None) -> Callable[[], None] | None:
    if descriptors is None:
        return None
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))


def picture(face: int, extension: str = ".png", *, scale: int = 1, shade: int = 0) -> bytes:
    """A picture file with one face, a square of one of 63 colours on a dark ground that differs with `shade`. `scale`:
    1 for 48 pixels."""
    rng = random.Random(face << 64 | shade)
    number = face % 63 + 1
    canvas = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    for row in range(0, _SIDE, 8):  # JPEG's blocks; dark enough to be no face
        for column in range(0, _SIDE, 8):
            canvas[row : row + 8, column : column + 8] = rng.choice((0, 34))
    canvas[_FACE : 2 * _FACE, _FACE : 2 * _FACE] = [85 * (number // part % 4) for part in (1, 4, 16)]
    large = canvas.repeat(scale, axis=0).repeat(scale, axis=1)
    options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444] if extension == ".jpg" else []
    return cv2.imencode(extension, large, options)[1].tobytes()
