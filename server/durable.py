"""What has reached the disk, and not only its cache."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def fsync_path(path: Path) -> None:
    """Wait until a file's content is on the disk; of a folder, which files are in it. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """An empty file beside `path`, to be filled; then `path` is it, in one step, and on the disk. Raises OSError.

    On an error `path` is as it was. A process that is killed leaves a file whose name begins with `path`'s and "-".
    """
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}-", dir=path.parent)
    os.close(descriptor)
    staging = Path(name)
    try:
        yield staging
        fsync_path(staging)
        staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)
