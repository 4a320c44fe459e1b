"""Looking, now and then, whether another process changed the gallery: one thread, bounded in what it costs."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable

from facewire.server.errors import FacewireError

WATCH_INTERVAL_S = 0.5
"""What another process commits is in force here after at most this long, plus what reading it takes. Looking costs some
microseconds; doing it at every search instead would let the first one after a change wait until all was read."""

RESTING_SHARE = 10
"""After a look that took t seconds the next one waits at least so many times t: somebody who commits all the time takes
a tenth of a core here, not all of it."""

_log = logging.getLogger("facewire.gallery")


class Watch:
    """Calls `look` until closed. What it raises is logged, once while it stays the same, and it is called again."""

    def __init__(self, look: Callable[[], object], interval_s: float = WATCH_INTERVAL_S) -> None:
        self._look = look
        self._interval_s = interval_s
        self._closing = threading.Event()
        self._complaint = ""  # the thread's own
        self._thread = threading.Thread(target=self._run, name="gallery-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; a look under way finishes first."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        pause = self._interval_s
        while not self._closing.wait(pause):
            begun = time.monotonic()
            try:
                self._look()
                self._complaint = ""
            except (FacewireError, sqlite3.Error, ValueError) as error:  # ValueError: a damaged template
                self._complain(str(error))
            pause = max(self._interval_s, RESTING_SHARE * (time.monotonic() - begun))

    def _complain(self, message: str) -> None:
        if message != self._complaint:
            _log.error("the database can't be followed: %s", message)
        self._complaint = message
