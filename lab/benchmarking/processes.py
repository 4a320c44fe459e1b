"""Runs the contenders in separate processes (deepface_worker, face_recognition_worker) for the sections."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from facewire.scripts.serving import ROOT
from facewire.server.cache import cache_key, cached_folder
from facewire.server.errors import StartError
from facewire.server.vision.models import DEFAULT_MODEL, YUNET_FILE, model_card
from facewire.server.vision.opening import find_weights
from facewire.server.vision.weights import WeightsFinder

PACKAGES = ("deepface", "tensorflow", "onnxruntime", "tf2onnx")


@dataclass(frozen=True, slots=True)
class Answered:
    """A contender's answers: seconds of each, total faces, and CPU seconds used."""

    seconds: list[float]
    faces: int
    cpu: float


class ContenderProcess:
    """A process that runs `module`, a `worker`."""

    def __init__(self, name: str, module: str, environment: Mapping[str, str], log: Path) -> None:
        self._name = name
        self.first_answer_s = 0.0
        self._log = log
        self._begun = time.perf_counter()
        with log.open("w") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"lab.benchmarking.{module}"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env={**os.environ, **environment},
            )

    def prepare(self, pictures: Sequence[Path], gallery: Path) -> None:
        """Sends the paths of the pictures and the gallery, and waits for the first answer."""
        self.ask(do="prepare", pictures=[str(path) for path in pictures], gallery=str(gallery))
        self.answer(0)
        self.first_answer_s = time.perf_counter() - self._begun

    def answer(self, seconds: float) -> Answered:
        """Answers one picture after the other for this long; at least one."""
        told = self.ask(do="answer", seconds=seconds)
        return Answered(told["seconds"], told["faces"], told["cpu"])

    def ask(self, **command: object) -> dict[str, Any]:
        """The answer to a command."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            why = (self._log.read_text().strip().splitlines() or ["it left no word"])[-1]
            raise StartError(f"{self._name} failed: {why}")
        told: dict[str, Any] = json.loads(answer)
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()  # ends its loop
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class DeepFaceProcess(ContenderProcess):
    """DeepFace. `engine`: "tensorflow" or "onnx", DeepFace's names."""

    def __init__(self, engine: str, home: Path, log: Path) -> None:
        super().__init__(f"DeepFace on {engine}", "deepface_worker", engine_environment(engine, home), log)

    def answer_one(self, path: Path) -> Answered:
        """Answers one picture once."""
        told = self.ask(do="one", path=str(path))
        return Answered(told["seconds"], told["faces"], told["cpu"])

    def register(self, paths: Sequence[Path], db: Path, at_once: int) -> tuple[float, float]:
        """Registers these pictures in a new SQLite file, `at_once` per call of `DeepFace.register`. Returns wall and
        CPU seconds."""
        told = self.ask(do="register", paths=[str(path) for path in paths], db=str(db), at_once=at_once)
        return float(told["seconds"]), float(told["cpu"])


def deepface_home(cache: Path) -> Path:
    """A DeepFace home with YuNet, FaceNet in both forms and a random Emotion network for ONNX Runtime.

    DeepFace's own ONNX file is a conversion of the same network; ours is converted once from the .h5 that the server
    uses.
    """
    finder = WeightsFinder(None, None)
    weights = find_weights(model_card(DEFAULT_MODEL), finder, "tensorflow")  # the .h5, for both
    yunet = finder.find(YUNET_FILE)

    def build(home: Path) -> None:
        folder = home / ".deepface" / "weights"
        folder.mkdir(parents=True)
        _link(folder, weights.path, yunet.path)
        done = subprocess.run(
            [sys.executable, "-m", "lab.benchmarking.deepface_to_onnx", str(folder)],
            cwd=ROOT,
            env=os.environ | engine_environment("tensorflow", home),
            stdout=sys.stderr,
            capture_output=False,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StartError(f"DeepFace's networks can't be converted to ONNX: {done.stderr.strip().splitlines()[-1]}")

    home = cached_folder(cache, cache_key(weights.sha256, *(version(package) for package in PACKAGES)), build)
    _link(home / ".deepface" / "weights", weights.path, yunet.path)  # their targets may have moved
    return home


def _link(folder: Path, *files: Path) -> None:
    """Links to `files`, replacing missing and broken links."""
    for file in files:
        link = folder / file.name
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(file.resolve())


def engine_environment(engine: str, home: Path) -> dict[str, str]:
    """What makes DeepFace run on an engine, with the weights in `home`."""
    return {"DEEPFACE_HOME": str(home), "DEEPFACE_BACKEND_ENGINE": engine, "TF_CPP_MIN_LOG_LEVEL": "2"}
