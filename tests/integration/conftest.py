"""Galleries of the sample people, built once by create_db itself, and how to serve them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from facewire.server.maintenance.create_db import main as create_db
from tests.support.once import made_once
from tests.support.server_process import environment

ENROLLED = 2  # pictures of each person; the last one of each is the probe


@dataclass(frozen=True, slots=True)
class Kit:
    """A gallery and the flags and environment to serve it with; `probes`: a picture by each enrolled name."""

    db: Path
    flags: tuple[str, ...]
    env: dict[str, str]
    probes: dict[str, bytes]

    @property
    def args(self) -> tuple[str, ...]:
        return ("--db", str(self.db), *self.flags)


@pytest.fixture(scope="session")
def folder(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first pictures of every sample person."""
    root = tmp_path_factory.mktemp("enrolled")
    for person in (sample / "people").iterdir():
        (root / person.name).mkdir()
        for picture in sorted(person.iterdir())[:ENROLLED]:
            shutil.copy(picture, root / person.name)
    return root


@pytest.fixture(scope="session")
def probes(sample: Path) -> dict[str, bytes]:
    """Pictures that are not enrolled, by name."""
    people = sorted((sample / "people").iterdir())
    return {person.name.replace("_", " "): max(person.iterdir()).read_bytes() for person in people}


@pytest.fixture(scope="session")
def dlib_kit(folder: Path, probes: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Kit:
    """What works with nothing but a package index; no weights and no cache of anybody else's."""
    pytest.importorskip("dlib", reason="dlib is not installed (requirements-offline.txt)")

    def flags(room: Path) -> tuple[str, ...]:
        own = ("--weights-dir", str(room / "empty"), "--cache-dir", str(room / "cache"))
        return ("--detector", "dlib", "--no-download", *own)

    def build(room: Path) -> None:
        assert create_db([str(folder), "--db", str(room / "people.db"), "--model", "Dlib", *flags(room)]) == 0

    room = made_once(tmp_path_factory, "dlib", build)
    return Kit(room / "people.db", flags(room), environment(DEEPFACE_HOME=str(room / "empty")), probes)


@pytest.fixture(scope="session")
def facenet_kit(
    folder: Path, probes: dict[str, bytes], weights_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Kit:
    """The real thing. The converted network comes from the user's cache, as for a server that is started again."""
    flags = ("--weights-dir", str(weights_dir), "--no-download")

    def build(room: Path) -> None:
        assert create_db([str(folder), "--db", str(room / "people.db"), *flags]) == 0

    room = made_once(tmp_path_factory, "facenet", build)
    return Kit(room / "people.db", flags, environment(DEEPFACE_HOME=str(room)), probes)


@pytest.fixture(scope="session")
def best_kit(request: pytest.FixtureRequest) -> Kit:
    """FaceNet where there is ../shared, else dlib: for tests of behaviour that should hold for either."""
    try:
        kit = request.getfixturevalue("facenet_kit")
    except pytest.skip.Exception:
        kit = request.getfixturevalue("dlib_kit")
    assert isinstance(kit, Kit)
    return kit
