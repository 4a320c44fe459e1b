"""Identity and emotion: the server with one client and with sixteen, DeepFace on two runtimes, and the bare network."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from facewire.protocol.messages import Identified
from facewire.server.vision.runtime import BATCH_SIZES
from lab.benchmarking.bench import CLIENTS, ENGINES, Bench, ask, say
from lab.benchmarking.report import Section, Target

ONE, MANY = "server, 1 client", f"server, {CLIENTS} clients"
BARE, BARE_ONE = "FaceNet alone, batches of 8", "FaceNet alone, 1 face"
LATENCY_TARGETS = {"tensorflow": 20, "onnx": 8}
THROUGHPUT_TARGETS = {"tensorflow": 30, "onnx": 12}
OF_THE_LIMIT = 0.7


@dataclass(slots=True)
class Measured:
    """Measurements of one contender: seconds per answer; pictures and faces per second of each round."""

    seconds: list[float] = field(default_factory=list)
    pictures: list[float] = field(default_factory=list)
    faces: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)  # per picture

    def add(self, seconds: Sequence[float], faces: int, wall: float, cpu: float) -> None:
        """Adds a round."""
        self.seconds += seconds
        self.pictures.append(len(seconds) / wall)
        self.faces.append(faces / wall)
        self.cpu_ms.append(1000 * cpu / len(seconds))

    def summary(self) -> dict[str, float]:
        """Medians over all answers, and over the rounds."""
        return {
            "median_ms": 1000 * median(self.seconds),
            "pictures_per_s": median(self.pictures),
            "faces_per_s": median(self.faces),
            "cpu_ms_per_picture": median(self.cpu_ms),
        }


def run(bench: Bench) -> Section:
    """Runs rounds of all contenders in turn, so that a drift of the machine's speed affects them equally."""
    measured: dict[str, Measured] = {}
    answers: list[Identified] = []
    contenders: dict[str, Callable[[Measured, float], None]] = {
        **{deepface_name(engine): _deepface(bench, engine) for engine in ENGINES},
        ONE: _server(bench, 1, answers),
        MANY: _server(bench, CLIENTS, []),
        BARE: _bare(bench, BATCH_SIZES[-1]),
        BARE_ONE: _bare(bench, 1),
    }
    for contender in contenders.values():
        contender(Measured(), min(1.0, bench.seconds))  # warms up
    answers.clear()
    for number in range(bench.rounds):
        say(f"answers, round {number + 1} of {bench.rounds}")
        for name, contender in contenders.items():
            contender(measured.setdefault(name, Measured()), bench.seconds)
    return _section({name: some.summary() for name, some in measured.items()}, _profile(answers))


def deepface_name(engine: str) -> str:
    """Its name in the tables."""
    return f"DeepFace, {'TensorFlow' if engine == 'tensorflow' else 'ONNX Runtime'}"


def _server(bench: Bench, clients: int, answers: list[Identified]) -> Callable[[Measured, float], None]:
    server, pictures = bench.server, bench.encoded

    def measure(into: Measured, seconds: float) -> None:
        asked = ask(server, pictures, clients, seconds)
        into.add(asked.seconds, asked.faces, asked.wall, asked.cpu)
        answers.extend(asked.answers)

    return measure


def _deepface(bench: Bench, engine: str) -> Callable[[Measured, float], None]:
    process = bench.deepface(engine)

    def measure(into: Measured, seconds: float) -> None:
        told = process.answer(seconds)
        into.add(told.seconds, told.faces, sum(told.seconds), told.cpu)

    return measure


def _bare(bench: Bench, faces: int) -> Callable[[Measured, float], None]:
    """FaceNet on batches of `faces`, each counted as a picture; seconds are per batch."""
    width, height = bench.analyser.spec.input_size
    batch = [np.full((height, width, 3), 127, np.uint8)] * faces

    def measure(into: Measured, seconds: float) -> None:
        times: list[float] = []
        used, until = time.process_time(), time.perf_counter() + seconds
        while not times or time.perf_counter() < until:
            begun = time.perf_counter()
            bench.analyser.probes(batch)
            times.append(time.perf_counter() - begun)
        done, wall = faces * len(times), sum(times)
        into.seconds += times
        into.pictures.append(done / wall)
        into.faces.append(done / wall)
        into.cpu_ms.append(1000 * (time.process_time() - used) / done)

    return measure


def _profile(answers: Sequence[Identified]) -> dict[str, float]:
    """The mean time of each step in the server for a single client, in ms per picture."""
    steps = {step for answer in answers for step in answer.timing_ms}
    return {step: float(np.mean([answer.timing_ms.get(step, 0.0) for answer in answers])) for step in sorted(steps)}


def _section(measured: dict[str, dict[str, float]], profile: dict[str, float]) -> Section:
    names = {engine: deepface_name(engine) for engine in ENGINES}
    limit = measured[BARE]["faces_per_s"]
    section = Section(
        "identity and emotion of the faces in a picture",
        ("", "median ms", "pictures/s", "faces/s", "CPU ms/picture", "x TensorFlow", "x ONNX Runtime", "of the limit"),
        data={"contenders": measured, "profile_ms": profile},
    )
    for name, one in measured.items():
        ratios = [f"{one['pictures_per_s'] / measured[other]['pictures_per_s']:.1f}" for other in names.values()]
        section.rows.append(
            (
                name,
                *(f"{one[key]:.1f}" for key in ("median_ms", "pictures_per_s", "faces_per_s", "cpu_ms_per_picture")),
                *(("", "") if name in (BARE, BARE_ONE) else ratios),
                f"{one['faces_per_s'] / limit:.2f}",
            )
        )
    for engine, name in names.items():
        ratio = measured[name]["median_ms"] / measured[ONE]["median_ms"]
        section.targets.append(Target(f"one client's median, times {name}", ratio, LATENCY_TARGETS[engine]))
    for engine, name in names.items():
        ratio = measured[MANY]["pictures_per_s"] / measured[name]["pictures_per_s"]
        section.targets.append(Target(f"sixteen clients' pictures/s, times {name}", ratio, THROUGHPUT_TARGETS[engine]))
    share = measured[MANY]["faces_per_s"] / limit
    section.targets.append(Target("sixteen clients' faces/s, of FaceNet alone", share, OF_THE_LIMIT))
    section.notes = _notes(measured, profile)
    return section


def _notes(measured: dict[str, dict[str, float]], profile: dict[str, float]) -> list[str]:
    lone = measured[BARE_ONE]["median_ms"]
    most = ", ".join(f"{measured[deepface_name(e)]['median_ms'] / lone:.1f} x {deepface_name(e)}" for e in ENGINES)
    steps = ", ".join(f"{step} {took:.2f}" for step, took in profile.items())
    return [
        "FaceNet alone: faces count as pictures. DeepFace's Emotion network has random weights (the released ones are",
        "not needed to time it); it detects once a picture and searches by one matrix product, which favours it.",
        f"One client's answer, ms a picture by step: {steps}.",
        f"The most that one client could reach, were all but FaceNet free: {most}.",
    ]
