"""Identity and emotion: the server with one client and with sixteen, DeepFace on two runtimes, the package
`face_recognition`, and the bare network."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from facewire.protocol.messages import Identified
from facewire.server.vision.analyser import Analyser
from facewire.server.vision.runtime import BATCH_SIZES
from lab.benchmarking.bench import CLIENTS, ENGINES, Bench, ask, say
from lab.benchmarking.processes import ContenderProcess
from lab.benchmarking.report import Section, Target

ONE, MANY = "server, 1 client", f"server, {CLIENTS} clients"
BARE, BARE_ONE = "FaceNet alone, batches of 8", "FaceNet alone, 1 face"
FACE_RECOGNITION = "face_recognition (dlib)"
LATENCY_TARGETS = {"tensorflow": 22, "onnx": 3}
THROUGHPUT_TARGETS = {"tensorflow": 30, "onnx": 4.5}
OF_THE_LIMIT = 0.75


@dataclass(slots=True)
class Measured:
    """Measurements of one contender: seconds per answer; pictures and faces per second of each round."""

    seconds: list[float] = field(default_factory=list)
    pictures: list[float] = field(default_factory=list)
    faces: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)  # per picture
    round_seconds: list[float] = field(default_factory=list)  # the median of each round

    def add(self, seconds: Sequence[float], faces: int, wall: float, cpu: float) -> None:
        """Adds a round."""
        self.seconds += seconds
        self.round_seconds.append(median(seconds))
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

    def best(self) -> dict[str, float]:
        """The same of the fastest round, each number by itself: what others do on the machine only slows."""
        return {
            "median_ms": 1000 * min(self.round_seconds),
            "pictures_per_s": max(self.pictures),
            "faces_per_s": max(self.faces),
            "cpu_ms_per_picture": min(self.cpu_ms),
        }


class Rounds:
    """Rounds of all contenders in turn, so that a drift of the machine's speed affects them equally."""

    def __init__(self, bench: Bench) -> None:
        self.played = 0
        self._bench = bench
        self._measured: dict[str, Measured] = {}
        self._answers: list[Identified] = []
        self._contenders: dict[str, Callable[[Measured, float], None]] = {
            deepface_name("onnx"): _process(bench.deepface("onnx")),
            ONE: _server(bench, 1, self._answers),
            MANY: _server(bench, CLIENTS, []),
        }
        if not bench.smoke:
            self._contenders |= {
                deepface_name("tensorflow"): _process(bench.deepface("tensorflow")),
                FACE_RECOGNITION: _process(bench.face_recognition()),
                BARE: _bare(bench.analyser, BATCH_SIZES[-1]),
                BARE_ONE: _bare(bench.analyser, 1),
            }
        for contender in self._contenders.values():
            contender(Measured(), min(1.0, bench.seconds))  # warms up
        self._answers.clear()

    def play(self) -> None:
        """One round more."""
        for name, contender in self._contenders.items():
            contender(self._measured.setdefault(name, Measured()), self._bench.seconds)
        self.played += 1

    def section(self, *, best: bool = False) -> Section:
        """What was measured so far: by medians, or by each contender's fastest round."""
        found = {name: some.best() if best else some.summary() for name, some in self._measured.items()}
        return _section(found, _profile(self._answers))


def run(bench: Bench) -> Section:
    """Runs the rounds."""
    rounds = Rounds(bench)
    for number in range(bench.rounds):
        say(f"answers, round {number + 1} of {bench.rounds}")
        rounds.play()
    return rounds.section()


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


def _process(process: ContenderProcess) -> Callable[[Measured, float], None]:
    def measure(into: Measured, seconds: float) -> None:
        told = process.answer(seconds)
        into.add(told.seconds, told.faces, sum(told.seconds), told.cpu)

    return measure


def _bare(network: Analyser, faces: int) -> Callable[[Measured, float], None]:
    """FaceNet on batches of `faces`, each counted as a picture; seconds are per batch."""
    width, height = network.spec.input_size
    batch = [np.full((height, width, 3), 127, np.uint8)] * faces

    def measure(into: Measured, seconds: float) -> None:
        times: list[float] = []
        used, until = time.process_time(), time.perf_counter() + seconds
        while not times or time.perf_counter() < until:
            begun = time.perf_counter()
            network.probes(batch)
            times.append(time.perf_counter() - begun)
        done, wall = faces * len(times), sum(times)
        into.seconds += times
        into.round_seconds.append(median(times))
        into.pictures.append(done / wall)
        into.faces.append(done / wall)
        into.cpu_ms.append(1000 * (time.process_time() - used) / done)

    return measure


def _profile(answers: Sequence[Identified]) -> dict[str, float]:
    """The mean time of each step in the server for a single client, in ms per picture."""
    steps = {step for answer in answers for step in answer.timing_ms}
    return {step: float(np.mean([answer.timing_ms.get(step, 0.0) for answer in answers])) for step in sorted(steps)}


def ratios(measured: dict[str, dict[str, float]]) -> dict[str, float]:
    """How many times as fast as DeepFace the server is, on each runtime that was measured: by the median of a lone
    client, by the pictures a second of sixteen clients, and by the processor time of each."""
    found = {}
    for engine, name in {engine: deepface_name(engine) for engine in ENGINES}.items():
        if name in measured:
            theirs, one, many = measured[name], measured[ONE], measured[MANY]
            found[f"one client, {engine}"] = theirs["median_ms"] / one["median_ms"]
            found[f"sixteen clients, {engine}"] = many["pictures_per_s"] / theirs["pictures_per_s"]
            for who, ours in (("one client", one), ("sixteen clients", many)):
                found[f"{who}, {engine}, processor time"] = theirs["cpu_ms_per_picture"] / ours["cpu_ms_per_picture"]
    return found


def _section(measured: dict[str, dict[str, float]], profile: dict[str, float]) -> Section:
    names = [deepface_name(engine) for engine in ENGINES if deepface_name(engine) in measured]
    section = Section(
        "identity and emotion of the faces in a picture",
        ("", "median ms", "pictures/s", "faces/s", "CPU ms/picture", *(f"x {name}" for name in names)),
        data={"contenders": measured, "profile_ms": profile, "ratios": ratios(measured)},
    )
    for name, one in measured.items():
        times = [f"{one['pictures_per_s'] / measured[other]['pictures_per_s']:.1f}" for other in names]
        section.rows.append(
            (
                name,
                *(f"{one[key]:.1f}" for key in ("median_ms", "pictures_per_s", "faces_per_s", "cpu_ms_per_picture")),
                *([""] * len(names) if name in (BARE, BARE_ONE) else times),
            )
        )
    found = ratios(measured)
    for who, wanted in (("one client", LATENCY_TARGETS), ("sixteen clients", THROUGHPUT_TARGETS)):
        for engine in ENGINES:
            if (what := f"{who}, {engine}") in found:
                section.targets.append(Target(f"{who}, times {deepface_name(engine)}", found[what], wanted[engine]))
    if BARE in measured:
        share = measured[MANY]["faces_per_s"] / measured[BARE]["faces_per_s"]
        section.targets.append(Target("sixteen clients' faces/s, of FaceNet alone", share, OF_THE_LIMIT))
        section.notes += _notes(measured)
    steps = ", ".join(f"{step} {took:.2f}" for step, took in profile.items())
    section.notes.append(f"One client's answer, ms a picture by step: {steps}.")
    return section


def _notes(measured: dict[str, dict[str, float]]) -> list[str]:
    lone = measured[BARE_ONE]["median_ms"]
    most = ", ".join(f"{measured[deepface_name(e)]['median_ms'] / lone:.1f} x {deepface_name(e)}" for e in ENGINES)
    return [
        "FaceNet alone: faces count as pictures. DeepFace's Emotion network has random weights (the released ones are",
        "not needed to time it); it detects once a picture and searches by one matrix product, which favours it.",
        "face_recognition reads no emotions, and embeds by a smaller network of dlib's.",
        f"The most that one client could reach, were all but FaceNet free: {most}.",
    ]
