"""The first start of a new user: nothing is there, a mirror has the weights, and the home folder is watched.

What lies in the home folder afterwards is what docs/privacy.md lists, and nobody but the mirror was talked to.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from facewire.client import FaceClient
from facewire.server.vision.models import DEFAULT_MODEL, YUNET_FILE, model_card
from tests.support.server_process import PATIENCE_S, ROOT, environment, serving_process

FACENET_FILE = model_card(DEFAULT_MODEL).weights_file
PEOPLE = 2


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A user without anything, and where what their processes do is written."""

    home: Path
    temporary: Path
    watched: Path
    env: dict[str, str]

    def files(self) -> set[str]:
        """Everything in the home folder; a converted network's folder is named by a hash."""
        files = {path.relative_to(self.home) for path in self.home.rglob("*") if path.is_file()}
        return {str(Path(*map(_known, path.parts))) for path in files}


def _known(part: str) -> str:
    """A part of a path, without what differs by version and machine."""
    if part.endswith(".blob"):
        return "COMPILED.blob"
    return {20: "HASH", 12: "PROCESSOR"}.get(len(part), part) if part.isalnum() else part


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    home, temporary, hook, watched = (tmp_path / name for name in ("home", "tmp", "hook", "watched.txt"))
    for folder in (home, temporary, hook):
        folder.mkdir()
    shutil.copy(ROOT / "tests" / "support" / "watching.py", hook / "sitecustomize.py")
    env = environment(HOME=str(home), TMPDIR=str(temporary), PYTHONPATH=str(hook), WATCHED=str(watched))
    for name in ("DEEPFACE_HOME", "XDG_CACHE_HOME", "KERAS_HOME", "CI", "TF_BUILD", "JENKINS_URL"):
        env.pop(name, None)
    return Newcomer(home, temporary, watched, env)


@pytest.fixture
def mirror(weights_dir: Path) -> Iterator[str]:
    """The address of a web server that has the real weights."""
    folder = weights_dir / ".deepface" / "weights"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def people(sample: Path, tmp_path: Path) -> Path:
    """A few people with a picture each."""
    for person in sorted((sample / "people").iterdir())[:PEOPLE]:
        (tmp_path / "people" / person.name).mkdir(parents=True)
        shutil.copy(min(person.iterdir()), tmp_path / "people" / person.name)
    return tmp_path / "people"


def test_weights_and_networks_are_all_that_is_written_and_only_the_mirror_is_asked(
    newcomer: Newcomer, mirror: str, people: Path, sample: Path, tmp_path: Path
) -> None:
    db = tmp_path / "people.db"
    flags = ("--weights-mirror", mirror)
    built = subprocess.run(
        [sys.executable, "scripts/create_db.py", str(people), "--db", str(db), *flags],
        cwd=ROOT, env=newcomer.env, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert f"{PEOPLE} people" in built.stdout
    with serving_process("--db", str(db), *flags, env=newcomer.env) as running:
        with FaceClient(*running.address, timeout=PATIENCE_S) as client:
            picture = min((people / "Akira_Monase").iterdir())
            assert client.identify(picture.read_bytes()).faces[0].name == "Akira Monase"
        running.stop()

    assert newcomer.files() == {
        f".deepface/weights/{FACENET_FILE}",
        f".deepface/weights/{YUNET_FILE}",
        ".cache/facewire/HASH/network.xml",
        ".cache/facewire/HASH/network.bin",
        ".cache/facewire/HASH/facts.json",
        ".cache/facewire/HASH/members",
        ".cache/facewire/HASH/PROCESSOR/COMPILED.blob",
    }
    assert list(newcomer.temporary.iterdir()) == []
    assert all(folder.name in {".deepface", ".cache"} for folder in newcomer.home.iterdir())

    events = [line.partition(" ")[::2] for line in newcomer.watched.read_text().splitlines()]
    assert events
    port = mirror.rpartition(":")[2]
    asked = {what for event, what in events if event.startswith("socket.")}
    assert [what for what in asked if "127.0.0.1" not in what] == []
    assert any(port in what for what in asked)
    assert [what for _, what in events if "DEEPFACE_HOME" in what] == []
