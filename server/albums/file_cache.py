"""An LRU cache of files that can be recreated, such as thumbnails.

They are stored as `ab/<sha256>/<name>` below a folder, by the sha256 of their picture, and are deleted with it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

_EMPTIED_TO = 0.8  # of the capacity, so that not every new file requires a listing of all others
_USED_EVERY_S = 3600.0  # precision of the time of last use
_UNDER_WAY = ".new"
_log = logging.getLogger("facewire.albums")


class FileCache:
    """Holds at most `capacity` bytes, not counting files being written. Thread-safe.

    Nothing is fsynced, so readers must detect files damaged by a crash of the machine.
    """

    def __init__(self, folder: Path, capacity: int) -> None:
        self._folder = folder
        self._capacity = capacity
        self._counting = threading.Lock()  # guards _held, and lets one thread at a time evict
        self._held: int | None = None  # bytes; None until counted

    def get(self, sha256: str, name: str) -> bytes | None:
        """A file's bytes, or None on a miss."""
        path = self._path(sha256, name)
        try:
            data = path.read_bytes()
            if time.time() - path.stat().st_mtime > _USED_EVERY_S:
                os.utime(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("a thumbnail can't be read: %s", error.strerror)
            return None
        return data

    def put(self, sha256: str, name: str, data: bytes) -> None:
        """Adds a file. A failure, such as a full disk, is logged as a warning; the file will be made again."""
        path = self._path(sha256, name)
        new = path.with_name(secrets.token_hex(8) + _UNDER_WAY)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(data)
            new.replace(path)
        except OSError as error:  # the folder may also have been deleted meanwhile, with the photo
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            _log.warning("a thumbnail is not kept: %s", error.strerror)
            return
        self._evict(len(data))

    def drop(self, sha256s: Iterable[str]) -> None:
        """Removes all files derived from these pictures."""
        for sha256 in sha256s:
            shutil.rmtree(self._folder / sha256[:2] / sha256, ignore_errors=True)

    def sweep(self, is_known: Callable[[str], bool]) -> None:
        """Removes files left by a crash: half-written ones, and those of deleted pictures."""
        for new in self._folder.glob(f"*/*/*{_UNDER_WAY}"):
            new.unlink()
        self.drop(folder.name for folder in self._folder.glob("*/*") if not is_known(folder.name))

    def _path(self, sha256: str, name: str) -> Path:
        return self._folder / sha256[:2] / sha256 / name

    def _evict(self, added: int) -> None:
        with self._counting:
            if self._held is not None:
                self._held += added
            if self._held is not None and self._held <= self._capacity:
                return
            files = sorted(self._files())  # least recently used first
            self._held = sum(size for _, size, _ in files)
            if self._held <= self._capacity:
                return
            for _, size, path in files:
                if self._held <= _EMPTIED_TO * self._capacity:
                    break
                path.unlink(missing_ok=True)
                self._held -= size
                with contextlib.suppress(OSError):  # not empty
                    path.parent.rmdir()

    def _files(self) -> Iterable[tuple[float, int, Path]]:
        for path in self._folder.glob("*/*/*"):
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                status = path.stat()
                yield status.st_mtime, status.st_size, path
