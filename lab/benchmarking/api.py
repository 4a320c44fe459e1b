"""DeepFace's REST API, answered by DeepFace and by facewire: the same client sends both the same requests in turn."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from facewire.client import FaceClient
from facewire.scripts.serving import ROOT, last_line
from facewire.server.errors import StartError
from lab.benchmarking.bench import Bench, say
from lab.benchmarking.deepface_api import deepface_api
from lab.benchmarking.processes import deepface_home
from lab.benchmarking.report import Section

_PATIENCE_S = 120
_READY = "DeepFace's API is at "
THEIRS, OURS = "DeepFace's own", "facewire's"


def run(bench: Bench) -> Section:
    """One client; medians over all rounds. The pictures have one face each."""
    faces = _of_one_face(bench)
    section = Section("DeepFace's REST API, 1 client, ms", ("", THEIRS, OURS, "times as fast"))
    with deepface_api(deepface_home(bench.cache), bench.room) as theirs, _ours(bench) as ours:
        took: dict[str, dict[str, list[float]]] = {}
        for number in range(-1, bench.rounds):  # a round first that warms up
            say(f"api, round {number + 1} of {bench.rounds}")
            for what, (path, fields) in _requests(faces).items():
                for name, address in ((THEIRS, theirs), (OURS, ours)):
                    seconds = _answered(address + path, fields, bench.seconds / 4 if number >= 0 else 0)
                    if number >= 0:
                        took.setdefault(what, {}).setdefault(name, []).extend(seconds)
    for what, by_name in took.items():
        one, other = (1000 * median(by_name[name]) for name in (THEIRS, OURS))
        section.rows.append((what, f"{one:.1f}", f"{other:.1f}", f"{one / other:.1f}"))
        section.data[what] = {"deepface_ms": one, "facewire_ms": other, "ratio": one / other}
    section.notes.append("DeepFace on ONNX Runtime, its default. The emotion is read by another network there.")
    return section


def _requests(faces: list[str]) -> Mapping[str, tuple[str, dict[str, object]]]:
    model: dict[str, object] = {"model_name": "Facenet512"}
    pair = model | {"detector_backend": "yunet", "img1": faces[0], "img2": faces[1]}
    return {
        "represent, skip": ("/represent", model | {"detector_backend": "skip", "img": faces[0]}),
        "represent, yunet": ("/represent", model | {"detector_backend": "yunet", "img": faces[0]}),
        "verify, yunet, cosine": ("/verify", pair | {"distance_metric": "cosine"}),
        "verify, yunet, no metric": ("/verify", pair),
        "analyze, yunet, emotion": (
            "/analyze",
            {"detector_backend": "yunet", "img": faces[0], "actions": ["emotion"]},
        ),
    }


def _of_one_face(bench: Bench) -> list[str]:
    """Two pictures as data URIs. Raises StartError."""
    with FaceClient("127.0.0.1", bench.server.port, timeout=60) as client:
        found = [data for data in bench.encoded if len(client.detect(data).faces) == 1][:2]
    if len(found) < 2:
        raise StartError("two pictures with one face each are needed", exit_code=2)
    return ["data:image/jpeg;base64," + base64.b64encode(data).decode() for data in found]


def _answered(url: str, fields: Mapping[str, object], seconds: float) -> list[float]:
    """Seconds of each answer, asking one after the other for so long; at least once. Raises StartError."""
    body = json.dumps(fields).encode()
    took: list[float] = []
    until = time.perf_counter() + seconds
    while not took or time.perf_counter() < until:
        begun = time.perf_counter()
        try:
            with urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=_PATIENCE_S) as answer:
                answer.read()
        except HTTPError as error:
            with error:
                raise StartError(f"{url} answered {error.code}: {error.read()[:300].decode()}") from error
        took.append(time.perf_counter() - begun)
    return took


@contextmanager
def _ours(bench: Bench) -> Iterator[str]:
    log = bench.room / "web.log"
    command = [sys.executable, "web_app.py", "--deepface-api", "--port", "0"]
    with (
        log.open("w") as file,
        subprocess.Popen(
            [*command, "--server", f"127.0.0.1:{bench.server.port}"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=file, text=True,
        ) as process,
    ):  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith(_READY):
                raise StartError(f"the gateway did not start: {last_line(log)}")
            yield line.removeprefix(_READY).strip().rstrip("/")
        finally:
            process.kill()
