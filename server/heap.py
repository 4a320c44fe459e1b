"""Gives back what the server has freed, but what its heaps keep in gaps between things that stay."""

from __future__ import annotations

import ctypes
import threading

EVERY_S = 120.0


class Trimming:
    """A thread that returns the heaps' free pages to the system from time to time, until closed. That takes up to
    90 ms, in which nobody else can allocate in that heap: so it is seldom (0089). Without glibc there is none."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._closing = threading.Event()
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._thread = threading.Thread(target=self._run, name="facewire-heap", daemon=True)
        if self._trim is not None:
            self._thread.start()

    def close(self) -> None:
        """Ends the thread. Harmless when repeated."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while self._trim is not None and not self._closing.wait(self._every_s):
            self._trim(0)
