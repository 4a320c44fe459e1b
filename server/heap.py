"""Gives back what the server has freed, but what its heaps keep in gaps between things that stay."""

from __future__ import annotations

import ctypes
import threading

EVERY_S = 120.0


def trim() -> None:
    """Returns the heaps' free pages to the system. Without glibc it does nothing."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


class Trimming:
    """A thread that returns the heaps' free pages to the system from time to time, until closed. That takes up to
    90 ms, in which nobody else can allocate in that heap: so it is seldom (0089)."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="facewire-heap", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread. Harmless when repeated."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            trim()
