"""What requirements*.txt pin, what the lock files hold and what pyproject.toml allows are the same packages."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from facewire.protocol.command_names import INSTALLED, as_called
from facewire.protocol.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "server_app.py", "client_app.py", "web_app.py", "scripts/create_db.py", "scripts/backup.py",
    "scripts/migrate_model.py", "scripts/identify.py", "scripts/demo.py", "scripts/cluster_demo.py", "scripts/web.py",
    "scripts/tokens.py",
)  # fmt: skip
LOCKS = ("requirements.lock", "requirements-tensorflow.lock")


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(file: str) -> dict[str, str]:
    """Package -> version, of the lines of a requirements file that pin one."""
    found = re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def allowed(*extras: str) -> dict[str, Requirement]:
    """Package -> range, of facewire with these extras."""
    table = project()["project"]
    lines = [*table["dependencies"], *(line for extra in extras for line in table["optional-dependencies"][extra])]
    return {canonicalize_name(requirement.name): requirement for requirement in map(Requirement, lines)}


@pytest.mark.parametrize(
    ("file", "extras"),
    [
        ("requirements.txt", ("server", "tensorflow")),
        ("requirements-web.txt", ("web",)),
        ("requirements-camera.txt", ("camera",)),
        ("requirements-dev.txt", ("dev",)),
        ("requirements-bench.txt", ("bench",)),
    ],
)
def test_what_is_pinned_is_what_an_extra_asks_for(file: str, extras: tuple[str, ...]) -> None:
    ranges = allowed(*extras)
    pinned = pins(file)
    assert set(pinned) | set(allowed()) == set(ranges)
    assert [name for name, version in pinned.items() if not ranges[name].specifier.contains(version)] == []


@pytest.mark.parametrize(
    ("file", "extra"),
    [
        ("requirements-offline.txt", "offline"),
        ("requirements-train.txt", "train"),
        ("requirements-video.txt", "video"),
        ("requirements-clip.txt", "clip"),
    ],
)
def test_what_is_added_to_requirements_txt(file: str, extra: str) -> None:
    ranges = allowed(extra)
    pinned = pins(file)
    assert set(pinned) == set(ranges) - set(allowed())
    assert all(ranges[name].specifier.contains(version) for name, version in pinned.items())


def test_the_client_of_milvus_is_an_extra_and_its_server_is_not() -> None:
    pinned, ranges = pins("requirements-cluster.txt"), allowed("milvus")
    assert set(ranges) - set(allowed()) == {"pymilvus"}
    assert ranges["pymilvus"].specifier.contains(pinned["pymilvus"])
    assert "milvus" in pinned


def test_no_two_files_pin_different_versions() -> None:
    versions: dict[str, set[str]] = {}
    for path in ROOT.glob("requirements*.txt"):
        for name, version in pins(path.name).items():
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_the_pinned_versions_with_hashes(lock: str) -> None:
    locked = pins(lock)
    wanted = pins("requirements.txt") | pins("requirements-web.txt") | pins("requirements-offline.txt")
    if lock == "requirements.lock":
        assert "tensorflow" not in locked
        del wanted["tensorflow"]
    assert {name: locked.get(name) for name in wanted} == wanted
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert all("--hash=sha256:" in part for part in re.split(r"\n(?=\w)", text))
    assert "://" not in text


def test_with_tensorflow_nothing_else_changes() -> None:
    lean, full = map(pins, LOCKS)
    assert {name: full.get(name) for name in lean} == lean


def test_the_pages_own_lock_holds_what_it_needs_as_the_larger_one_has_it() -> None:
    page, lean = pins("requirements-web.lock"), pins(LOCKS[0])
    assert {name: lean.get(name) for name in page} == page
    assert {name: page.get(name) for name in pins("requirements-web.txt")} == pins("requirements-web.txt")


def test_bare_it_is_the_thin_client() -> None:
    assert set(allowed()) == {"msgpack"}
    assert "tensorflow" not in allowed("server", "web", "offline")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_the_version(command: str) -> None:
    done = subprocess.run(
        [sys.executable, command, "--version"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"facewire {VERSION}\n", "")


@pytest.mark.parametrize(("command", "entry"), sorted(project()["project"]["scripts"].items()))
def test_an_installed_command_calls_itself_and_others_as_they_are_installed(
    command: str, entry: str, tmp_path: Path
) -> None:
    assert command in INSTALLED.values()
    module, function = entry.split(":")
    program = tmp_path / command
    program.write_text(f"from {module} import {function}\n{function}()\n", encoding="utf-8")
    told = subprocess.run([sys.executable, program, "--help"], capture_output=True, text=True, check=True)
    wrong = subprocess.run([sys.executable, program, "--no-such-flag"], capture_output=True, text=True)
    assert told.stdout.startswith(f"usage: {command} ")
    assert f"{command}: " in wrong.stderr
    assert re.findall(r"\w+\.py\b", told.stdout + wrong.stderr) == []


def test_names_of_commands_in_a_checkout_stay_and_other_files_names_do() -> None:
    text = "no database: build it with python scripts/create_db.py FOLDER, or photos/backup.py, or my-tokens.py"
    assert as_called(text, "server_app.py") == text
    installed = "no database: build it with facewire-create-db FOLDER, or photos/backup.py, or my-tokens.py"
    assert as_called(text, "/usr/bin/facewire-server") == installed
    assert as_called(text, "facewire-server.exe") == installed
