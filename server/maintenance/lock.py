"""One build per database at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facewire.server.errors import StartError


@contextmanager
def build_lock(db: Path) -> Iterator[None]:
    """Hold the right to build `db`. Raises StartError, which names the process, where another holds it.

    The kernel frees the lock when its process ends, however it ends. The file stays: were it removed, two processes
    could hold locks on two files of one name.
    """
    path = db.with_name(db.name + "-lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            raise StartError(f"process {holder} is building {db} already: wait for it to end") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
