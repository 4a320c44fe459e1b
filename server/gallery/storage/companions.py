"""Files beside a database: whether they belong to it, and moving them aside if they don't."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from facewire.server.errors import StartError
from facewire.server.gallery.storage.lineage import is_foreign, log_of

_SET_ASIDE = "-set-aside-"

# A separate process, because closing the file drops every lock that a process holds on it, including SQLite's. It locks
# bytes of which every SQLite connection holds a shared lock, until its stdin closes. "all" locks them exclusively: it
# succeeds only if nobody has the database open, and keeps everybody out. "share" takes some shared locks, so SQLite's
# last connection believes that others remain. It prints the header's format versions (2: uses a write-ahead log).
_HOLD = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
if sys.argv[2] == "all":
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 512, 0x40000000)
else:
    fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, 510, 0x40000002)
sys.stdout.write(os.pread(file, 2, 18).hex() + "\\n")
sys.stdout.flush()
sys.stdin.read()
"""

_log = logging.getLogger("facewire.gallery")


class _Alone(NamedTuple):
    """The exclusive lock is held: nobody has the database open. `in_wal_mode`: a rollback journal can't belong to
    it."""

    in_wal_mode: bool


def settle(path: Path) -> None:
    """Before opening the database at `path`, move aside a log or journal of another database, so it is never replayed.

    Raises StartError if that is impossible; the database must not be opened then.
    """
    path = path.resolve()  # files beside a symbolic link are ignored
    try:
        if not (_has_journal(path) or is_foreign(path, unmarked=True)):
            return
        with _alone(path) as alone:
            if alone is not None:
                # Check again: only now is it certain that nobody is in the middle of writing.
                if is_foreign(path, unmarked=True):
                    set_aside(path, "-wal", "-shm")
                if alone.in_wal_mode and _has_journal(path):
                    set_aside(path, "-journal")
                return
        if is_foreign(path, unmarked=False):
            raise StartError(
                f"{path} was overwritten while another process had it open, which would write its old content over it"
                " again: stop that process first, put the file there once more, and then start"
            )
    except OSError as error:
        raise StartError(
            f"{log_of(path).name} is of another database than {path.name} and can't be moved aside: {error.strerror};"
            " move it away yourself"
        ) from error


def set_aside(path: Path, *suffixes: str) -> None:
    """Rename the files beside `path` with these suffixes, so that no database takes them for its own. Raises
    OSError."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    for suffix in suffixes:
        there = path.with_name(path.name + suffix)
        if not there.exists():
            continue
        if not there.stat().st_size:
            there.unlink()
            continue
        aside = path.with_name(f"{path.name}{_SET_ASIDE}{stamp}{suffix}")
        there.rename(aside)
        _log.warning("%s belongs to another database than %s: it is kept as %s", there.name, path.name, aside.name)


def _has_journal(path: Path) -> bool:
    journal = path.with_name(path.name + "-journal")
    return journal.exists() and journal.stat().st_size > 0


@contextmanager
def _alone(path: Path) -> Iterator[_Alone | None]:
    """Locks everybody else out of the database for the duration of the block; yields None if somebody has it open."""
    with _holding(path, "all") as versions:
        yield _Alone(versions == b"0202") if versions else None


@contextmanager
def unfolded(path: Path) -> Iterator[None]:
    """Closing the database within the block leaves its log in place instead of checkpointing it into the file."""
    with _holding(path, "share"):
        yield


@contextmanager
def _holding(path: Path, what: Literal["all", "share"]) -> Iterator[bytes]:
    """Locks the database's bytes; yields an empty value if that is impossible."""
    command = [sys.executable, "-I", "-S", "-c", _HOLD, str(path), what]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            yield holder.stdout.readline().strip()
        finally:
            holder.stdin.close()
