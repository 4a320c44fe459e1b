"""A soak: mixed operations, sizes and formats, one request in twenty a bad one, for as long as asked.

    python -m lab.proof.soak [--requests 1000000] [--clients 4] [--period 3600] [--record FILE]
    python -m lab.proof.soak --read FILE      what a record says, also while the soak still runs

Prints a line for every period: what was asked, p50 and p99, and what the server takes. What it takes is looked at while
nobody asks it anything: under load, pictures in work make most of it. Exit code 1 if memory, threads or descriptors
grew after the first tenth, a request had an outcome it should not have, or the server logged an error. SIGINT and
SIGTERM end it early, with all that was found.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from facewire.client import FaceClient
from facewire.client.errors import ClientError, ServerBusy
from lab.proof.mix import PATIENCE_S, Asked, Mix, pictures
from lab.proof.served import Served, served
from lab.proof.soak_record import Look, Period, Record

_LOOK_EVERY_S = 30.0
_SETTLES_S = 1.5  # from the last answer: a decoder gives memory back after an idle second


class Turns:
    """A request is a turn; `quiet` waits for those under way, and holds the next ones back. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards the next two
        self._under_way = 0
        self._held = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """For one request."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held)
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nobody asks anything within the block. For one thread."""
        with self._changed:
            self._held = True
            self._changed.wait_for(lambda: not self._under_way)
        try:
            yield
        finally:
            with self._changed:
                self._held = False
                self._changed.notify_all()


@dataclass
class Soak:
    """The outcome. Clients add to it under `lock`."""

    record: Record = field(default_factory=Record)
    turns: Turns = field(default_factory=Turns)
    ends: threading.Event = field(default_factory=threading.Event)  # set: no further request
    lock: threading.Lock = field(default_factory=threading.Lock)
    done: int = 0
    waits: list[float] = field(default_factory=list)  # seconds, of this period's requests
    outcomes: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)

    def complaints(self) -> list[str]:
        """What did not hold."""
        return [*list(dict.fromkeys(self.unexpected))[:10], *self.record.grown()]

    def close_period(self, seconds: float) -> Period | None:
        """The period that ends now; None if next to nothing was asked."""
        with self.lock:
            waits, self.waits = self.waits, []
        if len(waits) < 2:
            return None
        cuts = statistics.quantiles(waits, n=100)
        return Period(seconds, len(waits), cuts[49] * 1000, cuts[98] * 1000)


def soak(
    server: Served, requests: int, clients: int, period_s: float, seconds: float = 0, outcome: Soak | None = None
) -> Soak:
    """Sends so many requests, or for so many seconds, and prints a line for every period. Adds to `outcome`."""
    outcome = outcome or Soak()
    pool, numbers = pictures(), iter(range(requests))
    threads = [
        threading.Thread(target=_ask, args=(server, Mix(number, pool, server.port), outcome, numbers))
        for number in range(clients)
    ]
    begun = period_begun = time.monotonic()
    outcome.record.add(_look(server, outcome, begun))
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        threads[0].join(min(_LOOK_EVERY_S, period_s))
        if seconds and time.monotonic() > begun + seconds:
            outcome.ends.set()
        outcome.record.add(_look(server, outcome, begun))
        now = time.monotonic()
        over = now > period_begun + period_s or not any(thread.is_alive() for thread in threads)
        if over and (period := outcome.close_period(now - period_begun)):
            period_begun = now
            outcome.record.add(period)
            print(f"{time.strftime('%H:%M:%S')} {period}; {outcome.record.looks[-1].taken}", flush=True)
    return outcome


def _look(server: Served, outcome: Soak, begun: float) -> Look:
    busy = server.taken().memory
    with outcome.turns.quiet():
        time.sleep(_SETTLES_S)
        taken, metrics = server.taken(), server.metrics()
    people = int(metrics["facewire_people"])
    files = sum(int(size) for name, size in metrics.items() if name.startswith("facewire_file_bytes"))
    return Look(outcome.done, time.monotonic() - begun, taken, busy, people, files)


def _ask(server: Served, mix: Mix, outcome: Soak, numbers: Iterator[int]) -> None:
    with FaceClient("127.0.0.1", server.port, timeout=PATIENCE_S, retries=20) as client:
        while not outcome.ends.is_set():
            with outcome.lock:
                if next(numbers, None) is None:
                    return
            kind, asked, expected = mix.next()
            with outcome.turns.turn():
                begun = time.monotonic()
                said = _said(client, asked, expected)
                took = time.monotonic() - begun
            with outcome.lock:
                outcome.waits.append(took)
                outcome.done += 1
                outcome.outcomes[f"{kind}: {said[0]}"] += 1
                outcome.unexpected += said[1:]


def _said(client: FaceClient, asked: Asked, expected: type[ClientError] | None) -> list[str]:
    """The outcome in a word, and what is wrong with it, if anything."""
    try:
        asked(client)
    except ServerBusy:
        return ["busy"]
    except ClientError as error:
        name = type(error).__name__
        right = expected is not None and isinstance(error, expected)
        return [name] if right else [name, f"{name}: {error}"]
    return ["ok"]


def logged_errors(log: Path) -> list[str]:
    """Lines of the server's log that a healthy server does not write."""
    return [line for line in log.read_text().splitlines() if " ERROR " in line or "Traceback" in line]


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the outcome; returns 1 if something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=0, help="at most so long")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--period", type=float, default=3600.0, help="seconds of each line (default: %(default)g)")
    parser.add_argument("--record", type=Path, help="add every look to this file, a line of JSON each")
    parser.add_argument("--read", type=Path, metavar="FILE", help="print what such a file says, and do nothing else")
    asked = parser.parse_args(argv)
    if asked.read:
        record = Record.read(asked.read)
        print("\n".join([str(record), *record.grown()]))
        return int(bool(record.grown()))
    outcome = Soak(Record(asked.record))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: outcome.ends.set())
    with tempfile.TemporaryDirectory() as room, served(Path(room), "--log-level", "warning") as server:
        soak(server, asked.requests, asked.clients, asked.period, asked.seconds, outcome)
        complaints = outcome.complaints() + logged_errors(server.log)[:5]
    print(f"{outcome.record}\n{outcome.done} requests: {dict(sorted(outcome.outcomes.items()))}")
    print("\n".join(complaints) or "flat; every request had the outcome it should have")
    return int(bool(complaints))


if __name__ == "__main__":
    sys.exit(main())
