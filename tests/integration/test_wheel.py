"""What somebody gets who installs facewire instead of cloning it: built as a wheel, in environments of their own.

It installs what the wheel asks for from the package index, some 0.5 GB, and takes a minute or two.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from facewire.protocol.version import VERSION
from tests.support.server_process import PATIENCE_S, READY, ROOT, environment

PATIENT_S = 900.0  # for what fetches and installs
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--retries", "1")
DLIB = ("--detector", "dlib", "--no-download")
PROBE = "akira_monase.jpg"

pytestmark = pytest.mark.registry


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment, its user's home and the folder where commands run; nothing of the checkout is near."""

    root: Path

    def run(self, command: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
        """A command of its bin folder."""
        return subprocess.run(
            [self.root / "bin" / command, *args], cwd=self.root, env=self.env, capture_output=True, text=True,
            timeout=PATIENT_S, check=False,
        )  # fmt: skip

    @property
    def env(self) -> dict[str, str]:
        """Ours, without what leads to our packages and files."""
        ours = {"PYTHONPATH", "VIRTUAL_ENV", "DEEPFACE_HOME", "XDG_CACHE_HOME"}
        plain = {name: value for name, value in environment().items() if name not in ours}
        return plain | {"HOME": str(self.root / "home")}

    def installed(self) -> set[str]:
        """The names of its packages."""
        listed = json.loads(self.run("python", "-m", "pip", "list", "--format=json").stdout)
        return {one["name"].lower() for one in listed}

    def top_level(self) -> set[str]:
        """What can be imported from it."""
        (packages,) = self.root.glob("lib/python*/site-packages")
        return {path.name.removesuffix(".py") for path in packages.iterdir()}

    @contextmanager
    def serving(self, db: Path) -> Iterator[str]:
        """facewire-server on a database; gives its port."""
        log = self.root / "server.log"
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [self.root / "bin" / "facewire-server", "--port", "0", "--db", db, *DLIB],
                cwd=self.root, env=self.env, stdout=subprocess.PIPE, stderr=stderr, text=True,
            )  # fmt: skip
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith(READY), log.read_text()
            yield line.strip().rpartition(":")[2]
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE_S)


def made(root: Path, *packages: str) -> Environment:
    """An environment with `packages`."""
    subprocess.run([sys.executable, "-m", "venv", root], check=True, timeout=PATIENT_S)
    (root / "home").mkdir()
    one = Environment(root)
    done = one.run("python", *PIP, "install", "--no-compile", *packages)
    assert done.returncode == 0, done.stderr
    return one


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sdist and of the wheel that is built from it. Skips where no package index can be reached."""
    folder = tmp_path_factory.mktemp("dist")
    aside = str(tmp_path_factory.mktemp("reached"))
    wanted = [sys.executable, *PIP, "download", "--no-deps", "--dest", aside, "msgpack"]
    reached = subprocess.run(wanted, capture_output=True, text=True, timeout=PATIENT_S, check=False)
    if reached.returncode:
        reason = "no package index can be reached, so nothing can be installed"
        if os.environ.get("FACEWIRE_REQUIRE_INDEX"):
            pytest.fail(f"{reason}: {reached.stderr}")
        pytest.skip(reason)
    build = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]  # which makes an environment of its own
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True, timeout=PATIENT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    assert found.name == f"facewire-{VERSION}-py3-none-any.whl"
    return found


@pytest.fixture(scope="module")
def whole(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Server and dlib's networks."""
    return made(tmp_path_factory.mktemp("whole"), f"{wheel}[server,offline]")


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return made(tmp_path_factory.mktemp("bare"), str(wheel))


def test_the_files_have_what_is_needed_and_nothing_else(built: Path, wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names} == {"facewire", f"facewire-{VERSION}.dist-info"}
    for needed in (
        "models/emotion.onnx", "models/emotion_head.onnx", "models/emotion.json", "models/cohort-facenet512.npz",
        "models/facenet512-reference.npz", "models/LICENSE", "client/web/templates/base.html", "client/py.typed",
        "client/web/static/vendor/lit-html/directives/repeat.js", "client/web/static/vendor/lit-html/LICENSE",
    ):  # fmt: skip
        assert f"facewire/{needed}" in names
    assert sum(name.endswith("LICENSE") for name in names if "dist-info" in name) == 2
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        kept = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "server/app.py", "data/models/emotion.onnx"} <= kept
    assert not any(name.startswith(("tests/", "lab/", "data/sample/")) for name in kept)


def test_the_bare_wheel_is_the_client_and_msgpack(bare: Environment) -> None:
    assert bare.installed() - {"pip", "setuptools", "wheel"} == {"facewire", "msgpack"}
    assert bare.top_level().isdisjoint({"server", "client", "protocol", "scripts", "lab", "tests", "models", "data"})
    version = bare.run("facewire", "--version")
    assert (version.returncode, version.stdout) == (0, f"facewire {VERSION}\n")
    server = bare.run("facewire-server", "--port", "0")
    assert server.returncode == 2
    assert 'pip install "facewire[server' in server.stderr
    assert "Traceback" not in server.stderr


def test_it_builds_serves_and_identifies(whole: Environment, bare: Environment, sample: Path) -> None:
    assert "tensorflow" not in whole.installed()
    db = whole.root / "facialdb.db"
    people, probe = whole.root / "people", sample / "probes" / PROBE
    for name in ("Akira_Monase", "Noor_Halvani", "Toni_Marchesan"):
        shutil.copytree(sample / "people" / name, people / name)
    created = whole.run("facewire-create-db", people, "--db", db, "--model", "Dlib", *DLIB)
    assert created.returncode == 0, created.stderr
    alone = whole.run("facewire-identify", probe, "--db", db, *DLIB)
    assert (alone.returncode, "Akira Monase" in alone.stdout) == (0, True), alone.stderr
    with whole.serving(db) as port:
        for client in (whole, bare):
            asked = client.run("facewire", probe, "--port", port)
            assert (asked.returncode, "Akira Monase" in asked.stdout) == (0, True), asked.stderr
        ask = f"from facewire.client import FaceClient as C; print(C('127.0.0.1', {port}).ping().server)"
        assert bare.run("python", "-c", ask).stdout.strip() == VERSION
    saved = whole.run("facewire-backup", "save", whole.root / "copy.db", "--db", db)
    assert saved.returncode == 0, saved.stderr
