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

from facewire.protocol.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "server_app.py", "client_app.py", "web_app.py", "scripts/create_db.py", "scripts/backup.py",
    "scripts/migrate_model.py", "scripts/identify.py", "scripts/demo.py", "scripts/web.py",
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
    ("file", "extra"), [("requirements-offline.txt", "offline"), ("requirements-train.txt", "train")]
)
def test_what_is_added_to_requirements_txt(file: str, extra: str) -> None:
    ranges = allowed(extra)
    pinned = pins(file)
    assert set(pinned) == set(ranges) - set(allowed())
    assert all(ranges[name].specifier.contains(version) for name, version in pinned.items())


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


def test_bare_it_is_the_thin_client() -> None:
    assert set(allowed()) == {"msgpack"}
    assert "tensorflow" not in allowed("server", "web", "offline")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_the_version(command: str) -> None:
    done = subprocess.run(
        [sys.executable, command, "--version"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"facewire {VERSION}\n", "")
