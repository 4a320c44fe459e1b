"""Caches converted networks on disk, so that TensorFlow is needed only once and not at every start.

An entry is a folder named by a digest of everything it depends on. It is written to a temporary folder and renamed: a
reader sees a complete entry or none, and if two processes build the same entry, the first one's is kept.
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
    """Twenty hex digits that change whenever a part changes."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def cached_folder(root: Path, key: str, build: Callable[[Path], None]) -> Path:
    """The entry's folder; `build(folder)` fills it if it does not exist. Raises StartError if it can't be written."""
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
        if not entry.is_dir():  # else another process was first, and its entry is equivalent
            raise StartError(f"{entry} can't be written ({error})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return entry
