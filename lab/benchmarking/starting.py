"""Time from the start of the server's process to its first answer, with warm caches."""

from __future__ import annotations

import time
from statistics import median

from facewire.client import FaceClient
from facewire.scripts.serving import server_process
from lab.benchmarking.answers import deepface_name
from lab.benchmarking.bench import ENGINES, Bench, say
from lab.benchmarking.family import family_of
from lab.benchmarking.report import Section, Target

WANTED_S = 1.0
STARTS = 5


def run(bench: Bench) -> Section:
    """Times several starts; DeepFace's only start is that of its process for the other sections."""
    ready, first, resident = [], [], []
    for number in range(-1, STARTS):  # an extra start first, as networks may have to be converted
        say("a start to fill the cache" if number < 0 else f"start {number + 1} of {STARTS}")
        begun = time.perf_counter()
        with server_process(str(bench.db), ("--log-level", "warning"), bench.room / "start.log") as server:
            listening = time.perf_counter() - begun
            with FaceClient("127.0.0.1", server.port, timeout=60) as client:
                client.identify(bench.encoded[0])
            answered = time.perf_counter() - begun
            if number >= 0:
                ready.append(listening)
                first.append(answered)
                resident.append(sum(family_of(server.process.pid).pss_mb))
    deepface = {deepface_name(engine): bench.deepface(engine).first_answer_s for engine in ENGINES}
    data = {"listening_s": median(ready), "first_answer_s": median(first), "resident_mb": median(resident)}
    section = Section("start", ("", "listening s", "first answer s", "resident MB"), data=data | {"deepface": deepface})
    section.rows.append(
        ("server", f"{data['listening_s']:.2f}", f"{data['first_answer_s']:.2f}", f"{data['resident_mb']:.0f}")
    )
    section.rows += [(name, "", f"{took:.2f}", "") for name, took in deepface.items()]
    section.targets.append(Target("start to first answer", data["first_answer_s"], WANTED_S, at_least=False, unit="s"))
    return section
