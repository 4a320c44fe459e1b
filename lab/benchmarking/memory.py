"""Measures a server's resident memory, and its growth, with sixteen clients and a gallery the size of half of LFW."""

from __future__ import annotations

import threading
import time
from statistics import median

from facewire.client import FaceClient
from facewire.scripts.serving import Server
from facewire.server.errors import StartError
from lab.benchmarking.bench import CLIENTS, Bench, resident_mb, say
from lab.benchmarking.report import Section, Target
from lab.benchmarking.vectors import Crowd, crowd_database

TEMPLATES = 6_144  # the LFW half's
REQUESTS, MANY_REQUESTS, FEW_REQUESTS = 2_000, 20_000, 200
MOST_MB = 600
MOST_GROWTH = 1.02  # variation caused by the allocator under constant load
LOOK_S = 0.25


def run(bench: Bench) -> Section:
    """Runs sixteen clients until enough requests are answered, sampling memory four times a second."""
    requests = FEW_REQUESTS if bench.quick else MANY_REQUESTS if bench.large else REQUESTS
    crowd = Crowd(TEMPLATES)
    server = bench.serve(crowd_database(bench.cache, crowd, bench.spec), "memory")
    idle = resident_mb(server.process.pid)
    looks = _asked_and_watched(server, bench.encoded, requests)
    quarters = [
        median([mb for done, mb in looks if low <= done / requests <= low + 0.25] or [idle]) for low in (0.0, 0.75)
    ]
    growth = quarters[1] / quarters[0]
    most = max(mb for _, mb in looks)
    section = Section(
        f"memory: {CLIENTS} clients, {TEMPLATES:,} templates of {crowd.people:,} people, {requests:,} requests",
        ("", "resident MB"),
        [
            ("before the first request", f"{idle:.0f}"),
            ("median of the first quarter", f"{quarters[0]:.0f}"),
            ("median of the last quarter", f"{quarters[1]:.0f}"),
            ("most", f"{most:.0f}"),
        ],
        data={"idle_mb": idle, "first_quarter_mb": quarters[0], "last_quarter_mb": quarters[1], "most_mb": most},
    )
    section.targets = [
        Target("resident memory", most, MOST_MB, at_least=False, unit="MB"),
        Target(f"last quarter of {requests:,} requests, of the first", growth, MOST_GROWTH, at_least=False),
    ]
    if not bench.large:
        section.notes.append(f"{MANY_REQUESTS:,} requests: --large.")
    return section


def _asked_and_watched(server: Server, pictures: list[bytes], requests: int) -> list[tuple[int, float]]:
    """(answers so far, resident MB), from the first request to the last."""
    lock = threading.Lock()  # guards the next two
    begun = answered = 0

    def ask() -> None:
        nonlocal begun, answered
        with FaceClient("127.0.0.1", server.port, timeout=120) as client:
            while True:
                with lock:
                    if begun >= requests:
                        return
                    number, begun = begun, begun + 1
                client.identify(pictures[number % len(pictures)])
                with lock:
                    answered += 1

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    looks: list[tuple[int, float]] = []
    told = 0
    while any(thread.is_alive() for thread in threads):
        looks.append((answered, resident_mb(server.process.pid)))
        if answered - told >= requests // 4:
            told = answered
            say(f"memory: {answered:,} of {requests:,} requests")
        time.sleep(LOOK_S)
    if answered < requests:
        raise StartError(f"the server answered only {answered} of {requests} requests")
    return looks
