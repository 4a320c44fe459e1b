"""A group photo of twelve megapixels, end to end, against DeepFace."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.client import FaceClient
from facewire.scripts.demo import PEOPLE
from lab.benchmarking.answers import deepface_name
from lab.benchmarking.bench import ENGINES, Bench, cpu_seconds, say
from lab.benchmarking.report import Section, Target

WIDTH, HEIGHT = 4000, 3000
PLACES = (4, 3)  # people across and down
FACES = (620, 800)  # sides of the smallest and largest portrait in pixels; faces are a tenth of the picture's height
QUALITY = 92
SHARE = 1 / 3
OURS = "server"


def run(bench: Bench) -> Section:
    """Times the photo on all contenders in turn, several times."""
    photo = bench.room / "group_photo.jpg"
    photo.write_bytes(compose([next(iter(sorted(person.iterdir()))) for person in sorted(PEOPLE.iterdir())]))
    data = photo.read_bytes()
    engines = {deepface_name(engine): bench.deepface(engine) for engine in ENGINES}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in (OURS, *engines)}
    faces: dict[str, int] = {}
    process = bench.server.process
    with FaceClient("127.0.0.1", bench.server.port, timeout=60) as client:
        for number in range(-1, bench.rounds):
            say(f"photo, {'once to warm up' if number < 0 else f'round {number + 1} of {bench.rounds}'}")
            for name, deepface in engines.items():
                told = deepface.answer_one(photo)
                taken[name].append((told.seconds[0], told.cpu))
                faces[name] = told.faces
            used, begun = cpu_seconds(process.pid), time.perf_counter()
            answer = client.identify(data)
            taken[OURS].append((time.perf_counter() - begun, cpu_seconds(process.pid) - used))
            faces[OURS] = len(answer.faces)
    ms, cpu_ms = (
        {name: 1000 * median(one[place] for one in some[1:]) for name, some in taken.items()} for place in range(2)
    )
    return _section(ms, cpu_ms, faces, answer.timing_ms)


def compose(portraits: Sequence[Path]) -> bytes:
    """Twelve people in front of a wall, as a JPEG; deterministic."""
    rng = np.random.default_rng(12)
    canvas = _wall(rng)
    across, down = PLACES
    for number, path in enumerate(portraits[: across * down]):
        side = int(np.linspace(*FACES, across * down)[number])
        portrait = cv2.resize(np.asarray(cv2.imread(str(path))), (side, side), interpolation=cv2.INTER_CUBIC)
        left = (number % across) * WIDTH // across + (WIDTH // across - side) // 2
        top = (number // across) * HEIGHT // down + (HEIGHT // down - side) // 2
        canvas[top : top + side, left : left + side] = portrait
    return bytes(cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])


def _wall(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A wall lit from one side, with camera noise, which makes JPEGs large."""
    light = np.linspace(150, 190, WIDTH, dtype=np.float32)[None, :, None]
    grain = rng.integers(-6, 7, (HEIGHT, WIDTH, 1), dtype=np.int8)
    return np.asarray(np.clip(light + grain + np.array([0, 4, 8], np.float32), 0, 255), np.uint8)


def _section(
    ms: dict[str, float], cpu_ms: dict[str, float], faces: dict[str, int], steps: Mapping[str, float]
) -> Section:
    section = Section(
        f"a group photo of {WIDTH * HEIGHT / 1e6:.0f} megapixels",
        ("", "median ms", "CPU ms", "faces found", "server's share of its time"),
        data={"median_ms": ms, "cpu_ms": cpu_ms, "faces": faces, "server_steps_ms": dict(steps)},
    )
    for name, one in ms.items():
        share = f"{ms[OURS] / one:.3f}"
        section.rows.append((name, f"{one:.0f}", f"{cpu_ms[name]:.0f}", str(faces[name]), share))
    rival = deepface_name("onnx")
    what = f"12-megapixel photo, of {rival}'s time"
    section.targets.append(Target(what, ms[OURS] / ms[rival], SHARE, at_least=False))
    took = ", ".join(f"{step} {spent:.0f}" for step, spent in steps.items())
    section.notes = [f"The server's last answer, ms by step: {took}."]
    return section
