"""Shared by the commands that work on a database: an exclusive lock, and one-line error messages."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from facewire.protocol.text import printable
from facewire.server.errors import FacewireError, StartError
from facewire.server.storage import in_words


def exit_code(name: str, db: Path, work: Callable[[], int], *, afterwards: str) -> int:
    """Run a command's `work`; returns the exit code. `afterwards`: the state of the database after a failure."""
    try:
        return work()
    except StartError as error:
        print(printable(f"{name}: {error}"), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        raise  # the reader of our output is gone: not the gallery's fault
    except (FacewireError, OSError, sqlite3.Error) as error:
        print(printable(f"{name}: {in_words(error, db)}; {afterwards}"), file=sys.stderr)
        return 3


@contextmanager
def build_lock(db: Path) -> Iterator[None]:
    """Hold the exclusive right to build `db`. Raises StartError, which names the process, if another one holds it.

    The kernel releases the lock when its process ends for any reason. The file stays: if it were deleted, two processes
    could lock two different files of the same name.
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
