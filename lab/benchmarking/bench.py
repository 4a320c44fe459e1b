"""Shared by the sections: settings, pictures, the gallery, and the processes under test."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from facewire.client import FaceClient
from facewire.protocol.messages import Identified
from facewire.scripts.serving import Server, server_process
from facewire.server.cores import cores
from facewire.server.errors import StartError
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision.analyser import Analyser
from facewire.server.vision.models import DEFAULT_MODEL
from facewire.server.vision.opening import VisionSettings, open_analyser
from lab.benchmarking import avx2
from lab.benchmarking.family import family_of
from lab.benchmarking.processes import ContenderProcess, DeepFaceProcess, deepface_home

CLIENTS = 16
RETRIES = 100  # on a machine that does much else the server may refuse some; waiting counts as part of the answer
ENGINES = ("onnx", "tensorflow")
"""Of DeepFace. It installs ONNX Runtime, and prefers TensorFlow where that is there."""

INSTRUCTION_SETS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
LIMITS = ("ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE")
"""Environment variables that keep the libraries from using what the processor has."""

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Bench:
    """One run. `seconds`: per round; `rounds`: of every contender, in turns; `large`: include slow measurements;
    `templates`: sizes of the galleries beside Milvus, where others than usual; `cache`: folder kept between runs for
    files that are slow to build; `room`: folder for other files."""

    db: Path
    pictures: Sequence[Path]
    seconds: float
    rounds: int
    large: bool
    quick: bool
    smoke: bool
    templates: Sequence[int]
    cache: Path
    room: Path
    open_things: ExitStack
    _deepfaces: dict[str, DeepFaceProcess] = field(default_factory=dict)

    @cached_property
    def encoded(self) -> list[bytes]:
        """The pictures' bytes."""
        return [path.read_bytes() for path in self.pictures]

    @cached_property
    def server(self) -> Server:
        """The server under test, on the gallery."""
        return self.serve(self.db, "server")

    def serve(self, db: Path, name: str) -> Server:
        """A separate server, until the run ends."""
        log = self.room / f"{name}.log"
        return self.open_things.enter_context(server_process(str(db), ("--log-level", "warning"), log))

    @cached_property
    def analyser(self) -> Analyser:
        """The server's networks in this process, for measurements without a server."""
        return self._opened(VisionSettings(model=DEFAULT_MODEL, emotion="off", downloads=False))

    def _opened(self, settings: VisionSettings) -> Analyser:
        analyser = open_analyser(settings)
        self.open_things.callback(analyser.close)
        return analyser

    @cached_property
    def spec(self) -> EmbeddingSpec:
        """The spec of the server's embeddings."""
        return self.analyser.spec

    @cached_property
    def gallery_matrix(self) -> Path:
        """The gallery's templates as a .npy file, for DeepFace to search."""
        path = self.room / "gallery.npy"
        with SqliteGallery.open(self.db) as gallery:
            if gallery.spec.model != DEFAULT_MODEL:
                again = f"scripts/create_db.py data/sample/people --model {DEFAULT_MODEL} --rebuild --db {self.db}"
                raise StartError(f"{self.db} is {gallery.spec.model}'s, not {DEFAULT_MODEL}'s: {again}", exit_code=2)
            np.save(path, gallery.templates().embeddings)
        return path

    def deepface(self, engine: str) -> DeepFaceProcess:
        """DeepFace on an engine, started on first use; its first answer is timed from its start."""
        if engine not in self._deepfaces:
            say(f"starting DeepFace on {engine}")
            process = DeepFaceProcess(engine, deepface_home(self.cache), self.room / f"deepface-{engine}.log")
            self._deepfaces[engine] = self.open_things.enter_context(process)
            process.prepare(self.pictures, self.gallery_matrix)
        return self._deepfaces[engine]

    def face_recognition(self) -> ContenderProcess:
        """The package of that name, started."""
        process = ContenderProcess(
            "face_recognition", "face_recognition_worker", {}, self.room / "face_recognition.log"
        )
        self.open_things.enter_context(process)
        process.prepare(self.pictures, self.gallery_matrix)
        return process


@dataclass(slots=True)
class Asked:
    """The clients' results: seconds per answer, total faces, and total time."""

    seconds: list[float] = field(default_factory=list)
    answers: list[Identified] = field(default_factory=list)
    wall: float = 0.0
    cpu: float = 0.0

    @property
    def faces(self) -> int:
        """The number of faces in all answers."""
        return sum(len(answer.faces) for answer in self.answers)


def ask(server: Server, pictures: Sequence[bytes], clients: int, seconds: float) -> Asked:
    """Runs this many closed-loop clients for this long; each sends one picture after the other."""

    def one(number: int) -> Asked:
        mine = Asked()
        with FaceClient("127.0.0.1", server.port, timeout=60, retries=RETRIES) as client:
            while not mine.answers or time.perf_counter() < until:
                begun = time.perf_counter()
                mine.answers.append(client.identify(pictures[(number + len(mine.answers)) % len(pictures)]))
                mine.seconds.append(time.perf_counter() - begun)
        return mine

    before, begun = cpu_seconds(server.process.pid), time.perf_counter()
    until = begun + seconds
    with ThreadPoolExecutor(clients) as pool:
        parts = list(pool.map(one, range(clients)))
    wall = time.perf_counter() - begun
    return Asked(
        [second for part in parts for second in part.seconds],
        [answer for part in parts for answer in part.answers],
        wall,
        cpu_seconds(server.process.pid) - before,
    )


def cpu_seconds(pid: int) -> float:
    """CPU seconds used by a process and its children, also those that have ended, to 10 ms."""
    ticks = 0
    family = family_of(pid)
    for one in (pid, *family.children):
        fields = _stat(one)
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def machine() -> str:
    """Describes the machine, as ratios differ on others: its processor, and the instruction sets that count."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = told.get("flags", "").split()
    sets = ", ".join(name for name in INSTRUCTION_SETS if name in flags) or "no AVX2"
    limits = "; held to AVX2" if avx2.held() else ""
    limits += "".join(f"; {name}={os.environ[name]}" for name in LIMITS if name in os.environ)
    return f"{cores()} cores of {told.get('model name', 'an unnamed processor')} ({sets}{limits})"


def say(line: str) -> None:
    """Prints progress to stderr."""
    print(f"benchmark: {line}", file=sys.stderr, flush=True)
