"""A guard against poison pills: pictures that kill the server whenever it looks at them, and so at every start.

Pictures are decoded in processes of their own (server/vision/decoding), so hardly any can; but networks are native
code, too. A death proves nothing by itself: servers are killed, and run out of memory, for reasons of their own. So a
picture during which the server died becomes a suspect, which is looked at last, after everything that can still be
done; chance rarely strikes it again there. It is given up only when the server died each of the last three times.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

MOST_DEATHS = 3
_REMEMBERED = 16  # suspects; the earliest is forgotten
_NOTE = re.compile(rb"([0-9a-f]{64}) (\d)\n?")
_NOTE_BYTES = 67


class PoisonGuard:
    """Notes on disk which picture is being looked at, for one thread. They survive the process, not the machine: no
    picture makes that die, and so nothing is fsynced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        notes = _NOTE.findall(path.read_bytes()) if path.exists() else []
        self._deaths = {sha256.decode(): int(deaths) for sha256, deaths in notes}

    @property
    def suspects(self) -> tuple[str, ...]:
        """The sha256s of pictures during which the server died."""
        return tuple(self._deaths)

    @property
    def culprits(self) -> tuple[str, ...]:
        """Those during which it died MOST_DEATHS times, and never lived."""
        return tuple(sha256 for sha256, deaths in self._deaths.items() if deaths >= MOST_DEATHS)

    @contextlib.contextmanager
    def looking_at(self, sha256: str) -> Iterator[None]:
        """While this picture is looked at. Whatever the end, unless the server dies: it is no suspect any more."""
        deaths = self._deaths.pop(sha256, 0)
        self._write({**self._deaths, sha256: deaths + 1})
        try:
            yield
        finally:
            self._write(self._deaths)

    def forget(self, sha256: str) -> None:
        """It is given up, and if somebody asks for it again, it gets another MOST_DEATHS chances."""
        self._deaths.pop(sha256, None)
        self._write(self._deaths)

    def _write(self, deaths: dict[str, int]) -> None:
        latest = list(deaths.items())[-_REMEMBERED:]
        notes = "".join(f"{sha256} {count}\n" for sha256, count in latest)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(descriptor, notes.encode().ljust(_REMEMBERED * _NOTE_BYTES), 0)
        finally:
            os.close(descriptor)
