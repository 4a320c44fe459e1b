"""Measures a server under ten times the load it can handle: throughput, latency, and the retry times it advises.

    python -m lab.benchmarking.overload [PICTURE] [--clients 200] [--seconds 10] [--rounds 3] [--width 4000]

Eight closed-loop clients measure the machine's capacity; then many more clients send requests, each again as soon as it
is answered, or after the advised time if the answer was `busy`. Both loads run in turns, because clients, server and
other processes share the machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from facewire.client import FaceClient
from facewire.client.errors import ServerBusy
from facewire.scripts.demo import PEOPLE
from facewire.scripts.serving import ROOT, Server, server_process
from facewire.server.cores import cores

FEW = 8  # clients that keep every worker busy without queueing
KEPT = 0.9  # least throughput under overload, relative to few clients
_PICTURE = ROOT / "data" / "sample" / "probes" / "akira_monase.jpg"
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE_S = 120.0


@dataclass
class Load:
    """The outcomes of requests. Every client adds to it."""

    waits_s: list[float] = field(default_factory=list)  # of answered requests
    advice_s: list[float] = field(default_factory=list)  # one per `busy`
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0
    processor_s: float = 0.0  # the server's
    others_s: float = 0.0  # of all other processes, including these clients

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.waits_s) / self.seconds

    def add(self, other: Load) -> None:
        """Adds another round."""
        self.waits_s += other.waits_s
        self.advice_s += other.advice_s
        self.errors += other.errors
        self.seconds += other.seconds
        self.processor_s += other.processor_s
        self.others_s += other.others_s

    def describe(self, clients: int) -> str:
        """A summary in one line."""
        used, others = (part / self.seconds / cores() for part in (self.processor_s, self.others_s))
        each = len(self.waits_s) / max(self.processor_s, 1 / _TICKS)
        line = f"{clients:4} clients: {self.rate:6.1f} answered/s"
        if self.waits_s:
            p50, p99 = np.percentile(self.waits_s, [50, 99])
            line += f", p50 {p50:5.2f} s, p99 {p99:5.2f} s"
        line += f", {len(self.advice_s)} busy"
        if self.advice_s:
            line += f" (advice p50 {np.median(self.advice_s):.2f} s)"
        line += f", {len(self.errors)} errors; processor {used:.0%} ({each:.0f} answered a second of it)"
        return f"{line}, others {others:.0%}"


def main(argv: Sequence[str] | None = None) -> int:
    """Prints both loads. Returns 1 if, in the median round, many clients get fewer answers than `KEPT` times what few
    get."""
    asked = _parse(argv)
    picture = _picture(asked.picture, asked.width)
    with tempfile.TemporaryDirectory() as room:
        db = asked.db or _database(Path(room))
        flags = ("--log-level", "warning", "--max-connections", str(asked.clients + FEW))
        with server_process(str(db), flags, Path(room) / "server.log") as server:
            run(server, picture, FEW, 3.0)  # warm-up
            few, many, shares = Load(), Load(), []
            for _ in range(asked.rounds):
                before = run(server, picture, FEW, asked.seconds)
                crowd = run(server, picture, asked.clients, asked.seconds)
                shares.append(crowd.rate / before.rate if before.rate else 0.0)
                few.add(before)
                many.add(crowd)
                print(before.describe(FEW), crowd.describe(asked.clients), sep="\n", flush=True)
    for error in sorted({*few.errors, *many.errors})[:5]:
        print(error)
    print(f"in all:\n{few.describe(FEW)}\n{many.describe(asked.clients)}")
    share = float(np.median(shares))
    print(f"{asked.clients} clients are answered {share:.0%} of what {FEW} are ({KEPT:.0%} wanted)")
    return 0 if share >= KEPT else 1


def run(server: Server, picture: bytes, clients: int, seconds: float) -> Load:
    """Runs this many clients for this long; later answers don't count."""
    load, ready = Load(), threading.Barrier(clients + 1)
    until = [0.0]  # set before the barrier opens
    threads = [threading.Thread(target=_ask, args=(server, picture, load, ready, until)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    begun, used, machine = time.monotonic(), _processor_s(server), _machine_s()
    until[0] = begun + seconds
    ready.wait(_PATIENCE_S)
    time.sleep(max(0.0, until[0] - time.monotonic()))
    load.seconds, load.processor_s = time.monotonic() - begun, _processor_s(server) - used
    load.others_s = _machine_s() - machine - load.processor_s
    for thread in threads:
        thread.join(_PATIENCE_S)
    return load


def _ask(server: Server, picture: bytes, load: Load, ready: threading.Barrier, until: list[float]) -> None:
    with FaceClient("127.0.0.1", server.port, timeout=_PATIENCE_S, retries=0) as client:
        client.ping()
        ready.wait(_PATIENCE_S)
        while (begun := time.monotonic()) < until[0]:
            try:
                client.identify(picture)
            except ServerBusy as busy:
                advised_s = (busy.retry_after_ms or 0) / 1000
                load.advice_s.append(advised_s)
                time.sleep(min(advised_s, max(0.0, until[0] - time.monotonic())))
            except Exception as error:  # noqa: BLE001 - counted and shown; the others continue
                load.errors.append(f"{type(error).__name__}: {error}")
            else:
                if (now := time.monotonic()) < until[0]:
                    load.waits_s.append(now - begun)


def _processor_s(server: Server) -> float:
    """CPU seconds used by the server's process so far."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _machine_s() -> float:
    """CPU seconds used by all processes so far."""
    user, nice, system, _idle, _waiting, *interrupts = map(int, Path("/proc/stat").read_text().split(None, 9)[1:9])
    return (user + nice + system + sum(interrupts)) / _TICKS


def _picture(path: Path, width: int | None) -> bytes:
    """The file's bytes, or a JPEG of it scaled to `width` pixels."""
    data = path.read_bytes()
    if width is None:
        return data
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    large = cv2.resize(image, (width, round(image.shape[0] * width / image.shape[1])))
    return cv2.imencode(".jpg", large)[1].tobytes()


def _database(room: Path) -> Path:
    """A newly built database of the sample people."""
    db = room / "people.db"
    subprocess.run([sys.executable, "scripts/create_db.py", str(PEOPLE), "--db", str(db)], cwd=ROOT, check=True)
    return db


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", nargs="?", type=Path, default=_PICTURE, help="what is asked about")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, help="pixels that the picture is enlarged to")
    parser.add_argument("--db", type=Path, help="a database; the sample's people, built anew, unless one is named")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
