"""Which picture was being looked at when the server died? One that kills it twice is not looked at again.

A decoder is native code, and pictures come from anywhere: without this, one that crashes it would crash every start.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_DEATHS_ENOUGH = 2  # once may be chance: a power cut, a kill
_NOTE = re.compile(rb"([0-9a-f]{64}) (\d)")


class DeathWatch:
    """A note of the picture under way, for one thread. It survives the process, not the machine: a picture is no reason
    for that to die, and so nothing is fsynced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        found = _NOTE.match(path.read_bytes()) if path.exists() else None
        self._last = None if found is None else found[1].decode()
        self._deaths = 0 if found is None else int(found[2])

    @property
    def culprit(self) -> str | None:
        """The sha256 of a picture during which the server has died often enough."""
        return self._last if self._deaths >= _DEATHS_ENOUGH else None

    def begin(self, sha256: str) -> None:
        """This one is looked at now."""
        deaths = self._deaths if sha256 == self._last else 0
        self._write(f"{sha256} {deaths + 1}".encode())

    def end(self) -> None:
        """And the server lives."""
        self._last, self._deaths = None, 0
        self._write(b" " * 66)

    def _write(self, note: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(descriptor, note, 0)
        finally:
            os.close(descriptor)
