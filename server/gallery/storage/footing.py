"""Detects that an open database's files were deleted, replaced or overwritten.

A deleted or replaced file lives on for whoever has it open, and everything written to it is lost when they close it. So
a process with an open database checks before it acknowledges a change, and from time to time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from facewire.server.errors import StorageFailed
from facewire.server.gallery.storage.connection import unfolded
from facewire.server.gallery.storage.lineage import is_foreign

_log = logging.getLogger("facewire.gallery")


class _Content(NamedTuple):
    """Changes whenever somebody writes to the file."""

    size: int
    mtime_ns: int


class Footing:
    """The identity of a database's files as they were when it was opened. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Create it after a connection has read from the database: only then does its log exist."""
        self._path = path
        there = path.resolve()  # a link may change its target; files beside the link are ignored
        self._files = {
            file: _identity(file)
            for file in (path, there.with_name(there.name + "-wal"), there.with_name(there.name + "-shm"))
        }
        self._looking = threading.Lock()  # guards the two below
        self._content = _content(path)
        self._overwritten = False
        self._said = ""  # replaced as a whole; two threads may log the same message twice

    def trouble(self) -> str:
        """What happened to the files, and what to do; empty if nothing did. Each message is logged once. Takes
        microseconds, more if the file has changed."""
        trouble = self._looked()
        if trouble and trouble != self._said:
            _log.error("%s", trouble)
        elif self._said and not trouble:
            _log.warning("%s is back: changes are accepted again", self._path.name)
        self._said = trouble
        return trouble

    def check(self) -> None:
        """Raises StorageFailed if a change would be lost."""
        trouble = self.trouble()
        if trouble:
            raise StorageFailed(trouble)

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """Close the connections within this block; a file copied over the database stays as it is. (SQLite itself
        detects a deleted or replaced file.)"""
        self.trouble()
        if not self._overwritten:
            yield
            return
        with unfolded(self._path):
            yield

    def _looked(self) -> str:
        for file, known in self._files.items():
            now = _identity(file)
            if now is None and known is not None:
                return (
                    f"{file.name} was deleted or moved while the server was using it: changes are refused until it is"
                    " back; or put a copy in its place and restart the server"
                )
            if now != known:
                return (
                    f"{file.name} is not the file that the server opened: changes are refused until the"
                    " server is restarted, which opens the new one"
                )
        if self._is_overwritten():
            return (
                f"{self._path.name} was overwritten while the server was using it: changes are refused; stop the"
                " server, copy the file there again, and start the server"
            )
        return ""

    def _is_overwritten(self) -> bool:
        with self._looking:
            content = _content(self._path)
            if content != self._content:
                self._overwritten = is_foreign(self._path, unmarked=False)
                self._content = content
            return self._overwritten


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _content(path: Path) -> _Content | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return _Content(status.st_size, status.st_mtime_ns)
