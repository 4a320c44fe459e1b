"""Many idle clients and many slow ones, while a few ask as usual.

    python -m lab.proof.crowd [--idle 1000] [--slow 100] [--seconds 60] [--descriptors 256]

Idle ones connect, half of them ask once, and then say nothing. Slow ones announce a picture and send a byte at a time.
Exit code 1 if one of the few was refused or lost, or the server is left with more threads or descriptors than before.
"""

from __future__ import annotations

import argparse
import resource
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from facewire.client import FaceClient
from facewire.client.errors import ClientError
from facewire.protocol.codec import encode_request
from facewire.protocol.framing import encode_frame
from facewire.protocol.messages import Ping, Request
from lab.proof.served import Served, Taken, picture, served
from lab.proof.soak import logged_errors

FEW = 4
_ANNOUNCED = struct.pack(">I", 1 << 20)
_PAUSE_S = 0.5  # between the bytes of a slow client
_PATIENCE_S = 120.0
_SETTLES_S = 90.0  # an idle client is let go after 60 s


@dataclass
class Crowd:
    """The outcome. `waits`: seconds of every request of the few; `refused`: what they were told instead of an
    answer."""

    waits: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    most: Taken | None = None
    complaints: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        if len(self.waits) < 2 or self.most is None:
            return "nobody was answered"
        cuts = statistics.quantiles(self.waits, n=100)
        return (
            f"{len(self.waits)} answered, p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms, "
            f"{len(self.refused)} refused; at most {self.most.threads} threads, {self.most.descriptors} descriptors"
        )


def crowd(server: Served, idle: int, slow: int, seconds: float) -> Crowd:
    """Lets them come, stay for so long, and leave."""
    outcome = Crowd()
    with FaceClient("127.0.0.1", server.port) as client:
        client.identify(picture(1))
    before = server.taken()
    stop = threading.Event()
    asking = [threading.Thread(target=_ask, args=(server, outcome, stop)) for _ in range(FEW)]
    crawling = threading.Thread(target=_crawl, args=(server, slow, stop))
    for thread in (*asking, crawling):
        thread.start()
    held = [_idle(server, number % 2 == 0) for number in range(idle)]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        now = server.taken()
        if outcome.most is None or now.threads > outcome.most.threads:
            outcome.most = now
        time.sleep(0.5)
    stop.set()
    for thread in (*asking, crawling):
        thread.join(_PATIENCE_S)
    for sock in held:
        if sock is not None:
            sock.close()
    if not outcome.waits:
        outcome.complaints.append("the few were not answered at all")
    outcome.complaints += outcome.refused[:5]
    if not _settles(server, before):
        outcome.complaints.append(f"left with {server.taken()}, before: {before}")
    return outcome


def _settles(server: Served, before: Taken) -> bool:
    """Whether threads and descriptors come down again."""
    limit = time.monotonic() + _SETTLES_S
    while time.monotonic() < limit:
        now = server.taken()
        if now.threads <= before.threads and now.descriptors <= before.descriptors + 8:
            return True
        time.sleep(0.5)
    return False


def _idle(server: Served, asks: bool) -> socket.socket | None:
    """A connection that will say nothing more; None if it was not even accepted."""
    try:
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=_PATIENCE_S)
        if asks:
            sock.sendall(encode_frame(encode_request(Request(1, Ping()))))
    except OSError:
        return None
    return sock


def _crawl(server: Served, clients: int, stop: threading.Event) -> None:
    """So many slow clients; one that is hung up on comes again."""
    socks: dict[int, socket.socket] = {}
    while not stop.wait(_PAUSE_S):
        for number in range(clients):
            try:
                if number not in socks:
                    socks[number] = socket.create_connection(("127.0.0.1", server.port), timeout=_PATIENCE_S)
                    socks[number].sendall(_ANNOUNCED)
                socks[number].sendall(b"\x81")
            except OSError:
                with suppress(KeyError):
                    socks.pop(number).close()
    for sock in socks.values():
        sock.close()


def _ask(server: Served, outcome: Crowd, stop: threading.Event) -> None:
    data = picture(5, ".jpg")
    with FaceClient("127.0.0.1", server.port, timeout=_PATIENCE_S, retries=20) as client:
        while not stop.is_set():
            begun = time.monotonic()
            try:
                client.identify(data)
            except ClientError as error:
                outcome.refused.append(f"{type(error).__name__}: {error}")
            else:
                outcome.waits.append(time.monotonic() - begun)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the outcome; returns 1 if something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=1000)
    parser.add_argument("--slow", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0, help="that they stay")
    parser.add_argument("--descriptors", type=int, help="the server's at its start, as of `ulimit -n`")
    asked = parser.parse_args(argv)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for ours
    with (
        tempfile.TemporaryDirectory() as room,
        served(Path(room), "--log-level", "warning", descriptors=asked.descriptors) as server,
    ):
        outcome = crowd(server, asked.idle, asked.slow, asked.seconds)
        complaints = outcome.complaints + logged_errors(server.log)[:5]
    print(outcome)
    print("\n".join(complaints) or "the few were served, and nothing was left behind")
    return int(bool(complaints))


if __name__ == "__main__":
    sys.exit(main())
