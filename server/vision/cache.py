"""Converted networks on disk, so that TensorFlow is needed once and not at every start.

An entry is a folder named by a digest of all that it depends on. It is written beside its place and renamed into it:
a reader sees a whole entry or none, and of two processes that build the same one the second keeps the first one's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from facewire.server.errors import StartError


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/facewire`, by default ~/.cache/facewire."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "facewire"


def cache_key(*parts: str) -> str:
    """Twenty hex digits that change when any part does."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def cached_folder(root: Path, key: str, build: Callable[[Path], None]) -> Path:
    """The entry's folder, filled by `build(folder)` unless it is there. Raises StartError when it can't be written."""
    entry = root / key
    if entry.is_dir():
        return entry
    try:
        root.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=root))
    except OSError as error:
        raise StartError(
            f"the cache folder {root} can't be written ({error}): name another with --cache-dir"
        ) from error
    try:
        build(staging)
        staging.rename(entry)
    except OSError as error:
        if not entry.is_dir():  # else another process was first, and its entry is as good as ours
            raise StartError(f"{entry} can't be written ({error})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return entry
