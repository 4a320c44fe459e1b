"""Debian's exiftool: what another program reads in our files, and files as other programs write them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

MISSING = "exiftool is not installed (apt-get install libimage-exiftool-perl)"


@pytest.fixture(scope="session")
def exiftool() -> str:
    """Where it is; skips without it, or fails where it must be there."""
    found = shutil.which("exiftool")
    if found is None:
        if os.environ.get("FACEWIRE_REQUIRE_EXIFTOOL"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return found


def tags_of(exiftool: str, *paths: Path) -> list[dict[str, Any]]:
    """Everything it reads, file by file; structures as dictionaries."""
    command = [exiftool, "-json", "-struct", "-n", "-charset", "utf8", *map(str, paths)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    read: list[dict[str, Any]] = json.loads(shown.stdout)
    return read
