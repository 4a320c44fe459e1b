"""Files that are on the disk, and not only in its cache."""

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


def put_in_place(ready: Path, path: Path) -> None:
    """Rename a finished file to `path`, in one step, over what is there. Content and name are on the disk when this
    returns. Raises OSError."""
    fsync_path(ready)
    ready.replace(path)
    fsync_path(path.parent)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """An empty file beside `path`, to be filled, which is then put in its place. Raises OSError.

    Only its owner may read it. On an error `path` is as it was. A process that is killed leaves a file whose name
    begins with `path`'s and "-".
    """
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}-", dir=path.parent)
    os.close(descriptor)
    staging = Path(name)
    try:
        yield staging
        put_in_place(staging, path)
    finally:
        staging.unlink(missing_ok=True)
