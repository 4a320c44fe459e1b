"""A guard against poison pills: pictures that crash the server whenever it processes them, and so at every start.

Pictures are decoded in separate processes (server/vision/decoding), so hardly any can; but the networks are native
code, too. A crash alone proves nothing: servers are killed, or run out of memory, for other reasons. So a picture
during which the server died becomes a suspect and is processed last, after all other work; a chance crash rarely hits
it again. It is given up only when the server died all of the last three times.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

MOST_DEATHS = 3
_REMEMBERED = 16  # suspects; beyond that the earliest is forgotten
_NOTE = re.compile(rb"([0-9a-f]{64}) (\d)\n?")
_NOTE_BYTES = 67


class PoisonGuard:
    """Records on disk which picture one thread is processing. The notes survive a crash of the process, not of the
    machine: no picture crashes that, so nothing is fsynced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        notes = _NOTE.findall(path.read_bytes()) if path.exists() else []
        self._deaths = {sha256.decode(): int(deaths) for sha256, deaths in notes}

    @property
    def suspects(self) -> tuple[str, ...]:
        """The sha256s of pictures during whose processing the server died."""
        return tuple(self._deaths)

    @property
    def poisonous(self) -> tuple[str, ...]:
        """Suspects during which it died MOST_DEATHS times in a row."""
        return tuple(sha256 for sha256, deaths in self._deaths.items() if deaths >= MOST_DEATHS)

    @contextlib.contextmanager
    def looking_at(self, sha256: str) -> Iterator[None]:
        """Held while this picture is processed. If the server survives, whatever the result, it ceases to be a
        suspect."""
        deaths = self._deaths.pop(sha256, 0)
        self._write({**self._deaths, sha256: deaths + 1})
        try:
            yield
        finally:
            self._write(self._deaths)

    def forget(self, sha256: str) -> None:
        """Gives a picture up. If somebody asks for it again, it gets another MOST_DEATHS attempts."""
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
