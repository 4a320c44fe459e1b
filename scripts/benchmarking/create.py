"""Building the database: create_db against DeepFace's `register`, from running networks to a finished SQLite file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import median

from scripts.benchmarking.answers import deepface_name
from scripts.benchmarking.bench import ENGINES, Bench, say
from scripts.benchmarking.report import Section, Target
from scripts.building.build import Request, build
from scripts.building.folder import scan
from scripts.create_db import DEFAULT_JOBS
from scripts.demo import PEOPLE

AT_ONCE = 16
WANTED = 20
OURS = "create_db"


def run(bench: Bench) -> Section:
    """Every builder in turn, each time into a new file."""
    folder = bench.room / "people"
    shutil.copytree(PEOPLE, folder)
    files = sorted(folder.rglob("*.jpg"))
    if bench.quick:
        for file in files[12:]:
            file.unlink()
        files = files[:12]
    builders: dict[str, Callable[[Path], float]] = {OURS: lambda db: _create_db(bench, folder, db)}
    for engine in ENGINES:
        process = bench.deepface(engine)
        builders[f"{deepface_name(engine)}, a picture a call"] = lambda db, p=process: p.register(files, db, 1)  # type: ignore[misc]
        builders[f"{deepface_name(engine)}, lists of {AT_ONCE}"] = lambda db, p=process: p.register(files, db, AT_ONCE)  # type: ignore[misc]
    times: dict[str, list[float]] = {name: [] for name in builders}
    for number in range(bench.rounds):
        say(f"create_db, round {number + 1} of {bench.rounds}")
        for place, (name, builder) in enumerate(builders.items()):
            times[name].append(builder(bench.room / f"built-{number}-{place}.db"))
    return _section({name: 1000 * median(some) / len(files) for name, some in times.items()}, len(files))


def _create_db(bench: Bench, folder: Path, db: Path) -> float:
    report = build(Request(folder, db, DEFAULT_JOBS, rebuild=False), scan(folder), bench.analyser)
    return report.seconds


def _section(ms: dict[str, float], pictures: int) -> Section:
    section = Section(
        f"building a database of {pictures} pictures",
        ("", "ms a picture", "pictures/s", "create_db is faster by"),
        notes=["create_db embeds each face and its mirror image: two passes of FaceNet where DeepFace has one."],
        data={"ms_per_picture": ms, "pictures": pictures},
    )
    for name, took in ms.items():
        section.rows.append((name, f"{took:.1f}", f"{1000 / took:.1f}", f"{took / ms[OURS]:.1f}"))
    slow = f"{deepface_name('tensorflow')}, a picture a call"
    section.targets.append(Target(f"create_db, times register on {slow}", ms[slow] / ms[OURS], WANTED))
    return section
