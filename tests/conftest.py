"""Where tests get real data and real networks from, and what happens when they are not there."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from facewire.server.vision.analyser import Analyser
from facewire.server.vision.opening import VisionSettings, open_analyser
from tests.support.milvus_server import milvus, own_milvus
from tests.support.once import alone

__all__ = ["milvus", "own_milvus"]  # fixtures from elsewhere

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
SAMPLE = ROOT / "data" / "sample"

_NO_SHARED = (
    "FaceNet's weights and photographs of real people (LFW, emotions), which can't be part of the project:"
    f" these tests look for them in {SHARED}"
)


MARKS_OF = {
    "shared": {"shared"},
    "facenet": {"shared", "weights"},
    "weights_dir": {"shared", "weights"},
    "dlib_analyser": {"weights"},
    "best_analyser": {"weights"},
    "dlib_kit": {"weights"},
    "facenet_kit": {"shared", "weights"},
    "best_kit": {"weights"},
    "chromium": {"browser"},
    "firefox": {"browser"},
    "browser": {"browser"},
}
"""What a test needs, by the fixtures that it uses, directly or not."""

IN_MEMORY = Path("/dev/shm")
ROOM_IN_MEMORY = 8 << 30
"""Bytes that must be free there: tests of a run leave up to 2 GB, and the networks need the rest."""


def pytest_configure() -> None:
    """Before anything is written or started. Where there is memory enough, the tests' files are in it: they are synced
    thousands of times, which takes a disk milliseconds each (PYTEST_DEBUG_TEMPROOT, or --basetemp, says another place).

    And the hundreds of Pythons that tests start keep their compiled modules, as users' do, wherever this one doesn't.
    """
    if IN_MEMORY.is_mount():
        there = os.statvfs(IN_MEMORY)
        if there.f_bavail * there.f_frsize > ROOM_IN_MEMORY and not there.f_flag & os.ST_NOEXEC:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(IN_MEMORY))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests by what they need, so that `-m "not shared and not browser"` leaves out what it says."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            for mark in sorted(MARKS_OF.get(fixture, ())):
                item.add_marker(mark)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was skipped: each reason once, with how many tests it concerns."""
    skipped = terminalreporter.getreports("skipped")
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    if reasons:
        terminalreporter.section("skipped tests, by what they need")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:5d}  {reason}")


def _missing(reason: str) -> None:
    """Skips, saying why; where the data must be there (.ci/run sets FACEWIRE_REQUIRE_SHARED), that is a failure."""
    if os.environ.get("FACEWIRE_REQUIRE_SHARED"):
        pytest.fail(f"{reason}, and FACEWIRE_REQUIRE_SHARED is set")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared() -> Path:
    """../shared: real weights, LFW, emotions."""
    if not (SHARED / "deepface").is_dir():
        _missing(_NO_SHARED)
    return SHARED


@pytest.fixture(scope="session")
def weights_dir(shared: Path) -> Path:
    """A DeepFace home with FaceNet's and YuNet's weights."""
    return shared / "deepface"


@pytest.fixture(scope="session")
def facenet(weights_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Analyser]:
    """The real thing: YuNet, Facenet512 and our emotion model, as the server runs them."""
    with alone(tmp_path_factory, "facenet"):  # the first one converts the network, and the others find it in the cache
        analyser = open_analyser(VisionSettings(weights_dir=weights_dir, downloads=False))
    yield analyser
    analyser.close()


@pytest.fixture(scope="session")
def dlib_analyser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Analyser]:
    """What works on a machine that reaches nothing but a package index; no weights of anybody else's."""
    if importlib.util.find_spec("dlib") is None or importlib.util.find_spec("face_recognition_models") is None:
        _missing("dlib's network is not installed (requirements-offline.txt; `make test` installs it)")
    empty = tmp_path_factory.mktemp("no-weights")
    analyser = open_analyser(VisionSettings(model="Dlib", weights_dir=empty, detector="dlib", downloads=False))
    yield analyser
    analyser.close()


@pytest.fixture(scope="session")
def best_analyser(request: pytest.FixtureRequest) -> Analyser:
    """FaceNet where there is ../shared, else dlib: for tests of behaviour that should hold for either."""
    analyser = request.getfixturevalue("facenet" if (SHARED / "deepface").is_dir() else "dlib_analyser")
    assert isinstance(analyser, Analyser)
    return analyser


@pytest.fixture(scope="session")
def sample() -> Path:
    """The synthetic people that are part of the project."""
    return SAMPLE
