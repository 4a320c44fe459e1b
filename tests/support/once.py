"""What is expensive to make, made once for all workers that pytest-xdist runs the tests in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def room_of_all_workers(factory: pytest.TempPathFactory) -> Path:
    """A folder of this run that every worker has; without pytest-xdist, the run's own."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` has filled, once in a run; the worker's own copy, as tests may change what is in it.

    An exception of `make` is raised in the worker that called it, and the next worker tries again.
    """
    template = room_of_all_workers(factory) / f"once-{name}"
    with alone(factory, name):
        made = template.with_suffix(".made")
        if not made.exists():
            shutil.rmtree(template, ignore_errors=True)
            template.mkdir()
            make(template)
            made.touch()
    return Path(shutil.copytree(template, factory.mktemp(name) / name))


def alone(factory: pytest.TempPathFactory, name: str) -> FileLock:
    """A lock: one worker at a time does what has this name."""
    return FileLock(room_of_all_workers(factory) / f"{name}.lock")
