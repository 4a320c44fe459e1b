"""The files that an open database stands on: are they still those at its path?

A file that was deleted or replaced goes on existing for whoever has it open, and takes everything that is written to it
along when they close it. So what opened a database looks, before it acknowledges a change and now and then.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from facewire.server.errors import StorageFailed
from facewire.server.gallery.storage.companions import unfolded
from facewire.server.gallery.storage.lineage import is_foreign

_log = logging.getLogger("facewire.gallery")


class _Content(NamedTuple):
    """Changes when somebody writes to the file."""

    size: int
    mtime_ns: int


class Footing:
    """The database at a path with its log, as they were opened. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Once a connection has read from the database: then its log is there."""
        self._path = path
        there = path.resolve()  # a link may come to lead to another file; what lies beside it is nobody's
        self._files = {
            file: _identity(file)
            for file in (path, there.with_name(there.name + "-wal"), there.with_name(there.name + "-shm"))
        }
        self._looking = threading.Lock()  # guards the two below
        self._content = _content(path)
        self._overwritten = False
        self._said = ""  # replaced whole; two threads may say the same twice

    def trouble(self) -> str:
        """What became of the files, and what to do; empty while nothing did. The log has it once. Takes microseconds,
        more after the file has changed."""
        trouble = self._looked()
        if trouble and trouble != self._said:
            _log.error("%s", trouble)
        elif self._said and not trouble:
            _log.warning("%s is back: changes are taken again", self._path.name)
        self._said = trouble
        return trouble

    def check(self) -> None:
        """Raises StorageFailed where a change would not be kept."""
        trouble = self.trouble()
        if trouble:
            raise StorageFailed(trouble)

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """The connections are to be closed within; what was put over the file stays as it is. (SQLite sees for itself
        when it was deleted or replaced.)"""
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
                    f"{file.name} was deleted or moved away while the server used it: no change is kept until it is"
                    " back; otherwise put a copy in its place and start the server again"
                )
            if now != known:
                return (
                    f"{file.name} is another file than the one that the server opened: no change is kept until the"
                    " server is started again, which opens the new one"
                )
        if self._is_overwritten():
            return (
                f"{self._path.name} was overwritten while the server used it: no change is kept; stop the server, copy"
                " the file there once more, and start the server again"
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
