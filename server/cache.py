"""Caches on disk what is always the same and takes long to make: converted networks, so that TensorFlow is needed only
once and not at every start, and the cohort's members.

An entry is a folder named by a digest of everything it depends on. It is written to a temporary folder and renamed: a
reader sees a complete entry or none, and if two processes build the same entry, the first one's is kept. Who writes
holds a shared lock on the cache folder, which the kernel releases however the process ends: what was being written and
is not locked any more was left by a process that was killed, and the next one removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from facewire.server.errors import StartError

_STAGING = re.compile(r"\.[0-9a-z]+-[0-9a-z_]{8}")  # a key between what `tempfile.mkdtemp` adds


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/facewire`, by default ~/.cache/facewire."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "facewire"


def cache_key(*parts: str) -> str:
    """Twenty hex digits that change whenever a part changes."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def cached_folder(root: Path, key: str, build: Callable[[Path], None]) -> Path:
    """The entry's folder; `build(folder)` fills it if it does not exist. Raises StartError if it can't be written."""
    _sweep(root)
    entry = root / key
    if entry.is_dir():
        return entry
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _writing(root):
            return _built(root, entry, build)
    except OSError as error:
        raise StartError(
            f"the cache folder {root} can't be written ({error}): name another with --cache-dir"
        ) from error


@contextlib.contextmanager
def alone_in(entry: Path) -> Iterator[None]:
    """One process at a time in the block, where the file system has locks: for what writes into an entry in place."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # an entry is not ours to open, or has no locks: then it is read as it is
            folder = held.enter_context(_opened(entry))
            fcntl.flock(folder, fcntl.LOCK_EX)
            held.callback(fcntl.flock, folder, fcntl.LOCK_UN)  # not by closing alone: a child may have a copy
        yield


def _built(root: Path, entry: Path, build: Callable[[Path], None]) -> Path:
    """The entry, written under the lock. Raises OSError if not even a folder can be made, StartError."""
    staging = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=root))
    try:
        build(staging)
        staging.rename(entry)
    except OSError as error:
        if not entry.is_dir():  # else another process was first, and its entry is equivalent
            raise StartError(f"{entry} can't be written ({error})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return entry


def _sweep(root: Path) -> None:
    """Removes what processes left that were killed while they wrote. If somebody writes now, a later start does."""
    # The folder may be missing, not ours to change, or on a file system without locks: none of that hinders reading it.
    with contextlib.suppress(OSError):
        left = [path for path in root.iterdir() if _STAGING.fullmatch(path.name)]
        if not left:
            return
        with _opened(root) as folder:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in left:
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _writing(root: Path) -> Iterator[None]:
    """Nobody sweeps within the block. Raises OSError."""
    with _opened(root) as folder:
        with contextlib.suppress(OSError):  # where there are no locks, nobody sweeps at all
            fcntl.flock(folder, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def _opened(root: Path) -> Iterator[int]:
    folder = os.open(root, os.O_RDONLY)
    try:
        yield folder
    finally:
        os.close(folder)
