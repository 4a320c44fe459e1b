"""Writing files durably: the data is on the disk, not only in the operating system's cache."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def fsync_path(path: Path) -> None:
    """Flush a file's content, or a folder's list of entries, to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_in_place(ready: Path, path: Path) -> None:
    """Atomically rename a finished file to `path`, replacing any existing file. Content and name are on the disk on
    return. Raises OSError."""
    fsync_path(ready)
    ready.replace(path)
    fsync_path(path.parent)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields an empty temporary file beside `path` to be filled, then moves it to `path`. Raises OSError.

    The file is readable by its owner only. On an error `path` is unchanged. A killed process leaves behind a file whose
    name starts with `path`'s name and "-".
    """
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}-", dir=path.parent)
    os.close(descriptor)
    staging = Path(name)
    try:
        yield staging
        put_in_place(staging, path)
    finally:
        staging.unlink(missing_ok=True)
