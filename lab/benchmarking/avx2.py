"""Holds a run, and every process that it starts, to AVX2: on a processor that has more, this is how both contenders are
as they would be on one that hasn't. ONEDNN_MAX_CPU_ISA would hold OpenVINO and TensorFlow, but not ONNX Runtime."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from facewire.server.cache import cached_folder
from facewire.server.errors import StartError

SOURCE = Path(__file__).with_suffix(".c")
LIBRARY = "only-avx2.so"


def held(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a process with this environment is held."""
    return LIBRARY in environment.get("LD_PRELOAD", "")


def library(cache: Path) -> Path:
    """The library that holds the process that loads it first; compiled once. Raises StartError."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise StartError("--avx2 needs a C compiler: apt-get install gcc libc6-dev")

    def build(folder: Path) -> None:
        made = subprocess.run(
            [compiler, "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(folder / LIBRARY), str(SOURCE)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            raise StartError(
                f"--avx2: {SOURCE.name} can't be compiled here (Linux on x86-64 only): {made.stderr[:500]}"
            )

    return cached_folder(cache, f"avx2-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:20]}", build) / LIBRARY


def hold(script: Path, arguments: Sequence[str], cache: Path) -> None:
    """Replaces this process by the same one, held; does nothing where it is held already. Raises StartError."""
    if held():
        return
    environment = {**os.environ, "LD_PRELOAD": str(library(cache))}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, str(script), *arguments], environment)
