"""Remembers pictures that crashed a decoder or exceeded its limits, to refuse them at once the next time."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter, OrderedDict

REMEMBERED = 4096
"""Number of pictures, the latest ones; with a line of text each, half a megabyte."""


class Culprits:
    """Thread-safe. Compares lengths before hashes, so that few other pictures are hashed (2 ms for a large photo)."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._changing = threading.Lock()  # guards the two below
        self._reasons: OrderedDict[bytes, tuple[int, str]] = OrderedDict()
        self._lengths: Counter[int] = Counter()

    def reason(self, data: bytes) -> str | None:
        """Why this picture is refused; None if it is not."""
        with self._changing:
            if not self._lengths[len(data)]:
                return None
        key = hashlib.sha256(data).digest()
        with self._changing:
            found = self._reasons.get(key)
        return None if found is None else found[1]

    def add(self, data: bytes, reason: str) -> None:
        """Refuse this picture from now on."""
        key = hashlib.sha256(data).digest()
        with self._changing:
            if key not in self._reasons:
                self._lengths[len(data)] += 1
            self._reasons[key] = len(data), reason
            if len(self._reasons) > self._remembered:
                _, (length, _) = self._reasons.popitem(last=False)
                self._lengths -= Counter([length])
