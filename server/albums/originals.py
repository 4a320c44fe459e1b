"""The photos' bytes, unchanged and stored once, in files named by their sha256, never by a name from a client."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from facewire.server.albums.database import OWNER_ONLY
from facewire.server.durable import put_in_place

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Originals:
    """Files `originals/ab/abcd...` below `root`. A file is complete once it has that name."""

    def __init__(self, root: Path) -> None:
        self._kept = root / "originals"
        self._incoming = root / "incoming"
        self._kept.mkdir(exist_ok=True, mode=OWNER_ONLY)
        self._incoming.mkdir(exist_ok=True, mode=OWNER_ONLY)

    def write(self, data: bytes) -> Path:
        """Writes the bytes under a temporary name. Raises OSError, leaving nothing behind."""
        path = self._incoming / secrets.token_hex(16)
        try:
            with path.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # here, outside the writer's lock, so that `keep` is fast
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path

    def keep(self, written: Path, sha256: str) -> None:
        """Gives a written file its final name."""
        target = self.path(sha256)
        target.parent.mkdir(exist_ok=True)
        put_in_place(written, target)

    def path(self, sha256: str) -> Path:
        """The path of an original."""
        return self._kept / sha256[:2] / sha256

    def read(self, sha256: str) -> bytes:
        """An original's bytes. Raises OSError."""
        return self.path(sha256).read_bytes()

    def drop(self, sha256s: Iterable[str]) -> None:
        """Removes originals that are no longer referenced."""
        for sha256 in sha256s:
            self.path(sha256).unlink(missing_ok=True)

    def sweep(self, is_known: Callable[[str], bool]) -> None:
        """Removes files left by a crash: half-written or never acknowledged."""
        for path in self._incoming.iterdir():
            path.unlink()
        for path in self._kept.glob("*/*"):
            if _SHA256.fullmatch(path.name) and not is_known(path.name):
                path.unlink()
