"""Building the database: create_db against DeepFace's `register`, from loaded networks to a finished SQLite file."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from facewire.scripts.demo import PEOPLE
from facewire.server.maintenance.build.build import Request, build
from facewire.server.maintenance.build.folder import scan
from facewire.server.maintenance.build.reading import Here
from facewire.server.maintenance.build.target import SqliteTarget
from facewire.server.maintenance.command import DEFAULT_JOBS
from lab.benchmarking.answers import deepface_name
from lab.benchmarking.bench import ENGINES, Bench, say
from lab.benchmarking.report import Section, Target

AT_ONCE = 16
WANTED = 4
OURS = "create_db"


def run(bench: Bench) -> Section:
    """Runs every builder in turn, each time into a new file."""
    folder = bench.room / "people"
    shutil.copytree(PEOPLE, folder)
    files = sorted(folder.rglob("*.jpg"))
    if bench.quick:
        for file in files[12:]:
            file.unlink()
        files = files[:12]
    builders: dict[str, Callable[[Path], tuple[float, float]]] = {OURS: lambda db: _create_db(bench, folder, db)}
    for engine in ENGINES:
        process = bench.deepface(engine)
        builders[f"{deepface_name(engine)}, a picture a call"] = lambda db, p=process: p.register(files, db, 1)  # type: ignore[misc]
        builders[f"{deepface_name(engine)}, lists of {AT_ONCE}"] = lambda db, p=process: p.register(files, db, AT_ONCE)  # type: ignore[misc]
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in builders}
    for number in range(bench.rounds):
        say(f"create_db, round {number + 1} of {bench.rounds}")
        for place, (name, builder) in enumerate(builders.items()):
            times[name].append(builder(bench.room / f"built-{number}-{place}.db"))
    ms, cpu_ms = (
        {name: 1000 * median(one[place] for one in some) / len(files) for name, some in times.items()}
        for place in range(2)
    )
    return _section(ms, cpu_ms, len(files))


def _create_db(bench: Bench, folder: Path, db: Path) -> tuple[float, float]:
    analyser, used = bench.analyser, time.process_time()
    request = Request(folder, db, SqliteTarget(db), rebuild=False)
    report = build(request, scan(folder), [], Here(analyser, DEFAULT_JOBS))
    return report.seconds, time.process_time() - used


def _section(ms: dict[str, float], cpu_ms: dict[str, float], pictures: int) -> Section:
    section = Section(
        f"building a database of {pictures} pictures",
        ("", "ms a picture", "CPU ms", "pictures/s", "create_db is faster by"),
        notes=["create_db embeds each face and its mirror image: two passes of FaceNet where DeepFace has one."],
        data={"ms_per_picture": ms, "cpu_ms_per_picture": cpu_ms, "pictures": pictures},
    )
    for name, took in ms.items():
        section.rows.append(
            (name, f"{took:.1f}", f"{cpu_ms[name]:.1f}", f"{1000 / took:.1f}", f"{took / ms[OURS]:.1f}")
        )
    slow = f"{deepface_name('onnx')}, a picture a call"
    section.targets.append(Target(f"create_db, times register on {slow}", ms[slow] / ms[OURS], WANTED))
    return section
