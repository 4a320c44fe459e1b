"""What the commands that work on a database share: one at a time, and failures said in one line."""

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
    """Do the work of a command; its exit code. `afterwards`: how the database is left where something fails."""
    try:
        return work()
    except StartError as error:
        print(printable(f"{name}: {error}"), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        raise  # nobody reads what is printed: no fault of the gallery's
    except (FacewireError, OSError, sqlite3.Error) as error:
        print(printable(f"{name}: {in_words(error, db)}; {afterwards}"), file=sys.stderr)
        return 3


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
