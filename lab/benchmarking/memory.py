"""Measures the memory of a server and its children, and its growth: sixteen clients with a gallery the size of half of
LFW, and six whose pictures come in mixed sizes and formats."""

from __future__ import annotations

import io
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from PIL import Image

from facewire.client import FaceClient
from facewire.scripts.serving import Server
from facewire.server.errors import StartError
from lab.benchmarking.bench import CLIENTS, RETRIES, Bench, say
from lab.benchmarking.family import family_of
from lab.benchmarking.report import Section, Target
from lab.benchmarking.vectors import Crowd, crowd_database

TEMPLATES = 6_144  # the LFW half's
REQUESTS, MANY_REQUESTS, FEW_REQUESTS = 2_000, 20_000, 200
MIXED_CLIENTS = 6
MIXED_REQUESTS, MANY_MIXED, FEW_MIXED = 1_000, 4_000, 60
MIXED_PICTURES = 120
SIDES = (300, 1_400)  # pixels, each side drawn for itself
FORMATS = ("JPEG", "PNG", "WEBP")
MOST_MB = 600
MOST_GROWTH = 1.02  # variation caused by the allocator under constant load
LOOK_S = 0.25


def run(bench: Bench) -> Section:
    """Runs clients until enough requests are answered, sampling memory four times a second. A server for each load."""
    requests = FEW_REQUESTS if bench.quick else MANY_REQUESTS if bench.large else REQUESTS
    mixed = FEW_MIXED if bench.quick else MANY_MIXED if bench.large else MIXED_REQUESTS
    crowd = Crowd(TEMPLATES)
    section = Section(
        f"memory of the server and its children (PSS, MB): {TEMPLATES:,} templates of {crowd.people:,} people",
        ("", "before", "first quarter", "last quarter", "most", "its children then"),
    )
    for name, pictures, clients, number in (
        (f"{CLIENTS} clients, {requests:,} requests", bench.encoded, CLIENTS, requests),
        (f"{MIXED_CLIENTS} clients, {mixed:,} of mixed sizes", _mixed(bench.pictures), MIXED_CLIENTS, mixed),
    ):
        server = bench.serve(crowd_database(bench.cache, crowd, bench.spec), f"memory-{clients}")
        idle = sum(family_of(server.process.pid).pss_mb)
        looks = _asked_and_watched(server, pictures, number, clients)
        _add(section, name, idle, looks, number)
        server.process.terminate()  # the next load's server finds the memory free
    if not bench.large:
        section.notes.append(f"{MANY_REQUESTS:,} and {MANY_MIXED:,} requests: --large.")
    return section


def _add(section: Section, name: str, idle: float, looks: list[tuple[int, float, float]], requests: int) -> None:
    first, last = (
        median([mb for done, mb, _ in looks if low <= done / requests <= low + 0.25] or [idle]) for low in (0.0, 0.75)
    )
    _, most, children = max(looks, key=lambda look: look[1])
    section.rows.append((name, *(f"{mb:.0f}" for mb in (idle, first, last, most, children))))
    section.data[name] = {"idle_mb": idle, "first_quarter_mb": first, "last_quarter_mb": last, "most_mb": most}
    section.targets += [
        Target(f"memory, {name}", most, MOST_MB, at_least=False, unit="MB"),
        Target(f"last quarter of the first, {name}", last / first, MOST_GROWTH, at_least=False),
    ]


def _mixed(portraits: Sequence[Path]) -> list[bytes]:
    """The same portraits as pictures of many sizes and three formats; deterministic."""
    rng = random.Random(5)
    pictures = []
    for number in range(MIXED_PICTURES):
        with Image.open(portraits[number % len(portraits)]) as portrait:
            width, height = rng.randint(*SIDES), rng.randint(*SIDES)
            file = io.BytesIO()
            portrait.convert("RGB").resize((width, height)).save(file, FORMATS[number % len(FORMATS)])
        pictures.append(file.getvalue())
    return pictures


def _asked_and_watched(
    server: Server, pictures: list[bytes], requests: int, clients: int
) -> list[tuple[int, float, float]]:
    """(answers so far, MB in all, MB of the children), from the first request to the last."""
    lock = threading.Lock()  # guards the next two
    begun = answered = 0

    def ask() -> None:
        nonlocal begun, answered
        with FaceClient("127.0.0.1", server.port, timeout=120, retries=RETRIES) as client:
            while True:
                with lock:
                    if begun >= requests:
                        return
                    number, begun = begun, begun + 1
                client.identify(pictures[number % len(pictures)])
                with lock:
                    answered += 1

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    looks: list[tuple[int, float, float]] = []
    told = 0
    while any(thread.is_alive() for thread in threads):
        own, children = family_of(server.process.pid).pss_mb
        looks.append((answered, own + children, children))
        if answered - told >= requests // 4:
            told = answered
            say(f"memory: {answered:,} of {requests:,} requests")
        time.sleep(LOOK_S)
    if answered < requests:
        raise StartError(f"the server answered only {answered} of {requests} requests")
    return looks
