"""A worker of a bulk build: a `Here` in a process that Ray started, perhaps on another machine. It answers in plain
values, failures among them, so that nothing but this package's own classes travels. Doesn't import Ray."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from facewire.server.cache import default_cache_dir
from facewire.server.errors import FacewireError, StartError
from facewire.server.gallery.records import NewPicture
from facewire.server.maintenance.build.folder import FoundFile
from facewire.server.maintenance.build.reading import Here, Known, Ready
from facewire.server.maintenance.build.report import Skipped
from facewire.server.maintenance.command import BATCH, EngineOpener
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision.opening import VisionSettings


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker of a build is told. `jobs`: threads that decode and detect, in each. `samples`: files of the
    folder with their sizes in bytes, by which a node is known to see the same one."""

    folder: Path
    samples: tuple[tuple[str, int], ...]
    vision: VisionSettings
    open_engine: EngineOpener
    jobs: int


SAMPLES = 8


def samples(files: Sequence[FoundFile]) -> tuple[tuple[str, int], ...]:
    """Names and sizes of a few of the files, evenly spread."""
    return tuple((file.path, file.size_bytes) for file in files[:: max(1, len(files) // SAMPLES)][:SAMPLES])


@dataclass(frozen=True, slots=True)
class Share:
    """Which of a node's processors are a worker's: the `slot`th run of `size`."""

    slot: int
    size: int

    def take(self) -> None:
        """Keep to them; the threads and processes started from now on do so, too."""
        there = sorted(os.sched_getaffinity(0))
        first = self.slot * self.size
        os.sched_setaffinity(0, {there[(first + number) % len(there)] for number in range(self.size)})


@dataclass(frozen=True, slots=True)
class Opened:
    """A worker is ready. `precision`: of its arithmetic."""

    spec: EmbeddingSpec
    precision: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A worker can't go on, in words for the user."""

    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A file with a picture to enrol, embedded."""

    file: FoundFile
    picture: NewPicture
    covered: bool

    @property
    def sha256(self) -> str:
        """Of the file."""
        return self.picture.sha256

    @property
    def fingerprint(self) -> bytes | None:
        """Of the picture."""
        return self.picture.fingerprint


Read = Skipped | Known | Made


class Worker:
    """For one caller at a time. Ends with its process: nothing is closed."""

    def __init__(self, job: Job, share: Share | None, default_cache: bool) -> None:
        """`share`: None if the node is this worker's alone; `default_cache`: no cache was named, so this machine's
        own is used."""
        if share is not None:
            share.take()
        self._job = job
        vision = job.vision
        decoding = replace(vision.decoding, processes=min(vision.decoding.processes, job.jobs))
        cache_dir = default_cache_dir() if default_cache else vision.cache_dir
        self._vision = replace(vision, decoding=decoding, cache_dir=cache_dir)
        self._here: Here | None = None

    def open(self) -> Opened | Failed:
        """Open the networks."""
        try:
            engine = self._job.open_engine(self._vision)
        except StartError as error:
            return Failed(str(error))
        self._here = Here(engine, self._job.jobs)
        return Opened(engine.spec, engine.precision)

    def read(
        self, files: Sequence[FoundFile], held: Mapping[str, Collection[str]], accept: Collection[str]
    ) -> list[Read] | Failed:
        """What becomes of each file, in their order. `held`: hashes of the pictures that people have already."""
        assert self._here is not None, "open comes first"
        folder, here = self._job.folder, self._here
        results: dict[str, Read] = {}
        waiting: list[Ready] = []

        def embed() -> None:
            for ready, (_, picture) in zip(waiting, here.embed(folder, waiting), strict=True):
                results[ready.file.path] = Made(ready.file, picture, ready.covered)
            waiting.clear()

        try:
            for file, outcome in zip(
                files, here.read(folder, files, lambda person: held.get(person, ()), accept), strict=True
            ):
                if isinstance(outcome, Ready):
                    waiting.append(outcome)
                    if len(waiting) == BATCH:
                        embed()
                else:
                    results[file.path] = outcome
            if waiting:
                embed()
        except (FacewireError, OSError) as error:
            return Failed(str(error))
        return [results[file.path] for file in files]


Greeting = tuple[str | None, str | None]
"""Of a node: its version of facewire, None without one; and what it misses of the folder, if anything."""


def greeting() -> Callable[[str, Sequence[tuple[str, int]]], Greeting]:
    """A function that a node can run which has another version of facewire, or none: defined in here, it travels with
    its code and not by its name."""

    def greet(folder: str, samples: Sequence[tuple[str, int]]) -> Greeting:
        from pathlib import Path

        try:
            from facewire.protocol.version import VERSION

            version: str | None = VERSION
        except ImportError:
            version = None
        if not Path(folder).is_dir():
            return version, folder
        for name, size in samples:
            file = Path(folder, name)
            if not file.is_file() or file.stat().st_size != size:
                return version, str(file)
        return version, None

    return greet
