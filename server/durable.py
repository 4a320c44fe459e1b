"""What has reached the disk, and not only its cache."""

import os
from pathlib import Path


def fsync_path(path: Path) -> None:
    """Wait until a file's content is on the disk; of a folder, which files are in it. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
