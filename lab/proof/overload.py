"""Ten times the load that the server can take, and what is left of it.

    python -m lab.proof.overload [--seconds 20]

Eight clients that ask again as soon as they are answered keep every worker busy; then eighty do. Exit code 1 if p99 of
what is answered is over the bound, nobody is told `busy` though the queue was full, an answer is lost, or the server
does not serve a single client as before within five seconds. (`lab.benchmarking.overload` measures throughput, with the
real networks.)
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facewire.client import FaceClient
from facewire.scripts.serving import Server
from lab.benchmarking.overload import FEW, run
from lab.proof.served import picture, served
from lab.proof.soak import logged_errors

TIMES = 10
MAX_WAIT_S = 0.5  # of the server here: eighty small requests would fit into the usual 3 s
BOUND_S = 2 * MAX_WAIT_S + 2.0  # a request waits twice as long at most (tcp/workers.py); the rest is its own work
RECOVERS_S = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the outcome; returns 1 if something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load")
    parser.add_argument("--bound", type=float, default=BOUND_S, help="seconds for p99 (default: %(default)g)")
    asked = parser.parse_args(argv)
    flags = ("--log-level", "warning", "--max-wait", str(MAX_WAIT_S), "--max-connections", "100")
    data = picture(5, scale=8)
    with tempfile.TemporaryDirectory() as room, served(Path(room), *flags) as server:
        few = run(Server(server.process, server.port), data, FEW, asked.seconds)
        many = run(Server(server.process, server.port), data, TIMES * FEW, asked.seconds)
        recovery = _recovery(server.port, data)
        busy = server.metrics().get('facewire_requests_total{op="identify",outcome="busy"}', 0)
        complaints = logged_errors(server.log)[:5] + many.errors[:5]
    print(few.describe(FEW), many.describe(TIMES * FEW), sep="\n")
    print(f"busy in the metrics: {busy:.0f}; served as before after {recovery:.1f} s")
    if not many.waits_s or float(np.percentile(many.waits_s, 99)) > asked.bound:
        complaints.append(f"p99 is over {asked.bound:g} s")
    if not many.advice_s or not busy:
        complaints.append("nobody was told busy")
    if recovery > RECOVERS_S:
        complaints.append(f"it took {recovery:.1f} s to recover")
    print("\n".join(complaints) or "bounded, busy for the rest, and recovered")
    return int(bool(complaints))


def _recovery(port: int, data: bytes) -> float:
    """Seconds from now until ten requests in a row were answered without `busy`."""
    begun = time.monotonic()
    with FaceClient("127.0.0.1", port, retries=20) as client:
        for _ in range(10):
            client.identify(data)
    return time.monotonic() - begun


if __name__ == "__main__":
    sys.exit(main())
