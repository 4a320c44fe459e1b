"""A thread that polls for other processes' changes to the gallery, with bounded cost."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable

from facewire.server.errors import FacewireError

WATCH_INTERVAL_S = 0.5
"""Another process's commit takes effect here within this time, plus the time to read it. A check costs a few
microseconds; checking at every search instead would make the first search after a change wait for the reload."""

RESTING_SHARE = 10
"""After a check that took t seconds the next one waits at least this many times t: a process that commits continuously
then costs a tenth of a core here, not a whole one."""

_log = logging.getLogger("facewire.gallery")


class Watch:
    """Calls `look` until closed. Errors are logged, once per message, and the calls continue."""

    def __init__(
        self, look: Callable[[], object], interval_s: float = WATCH_INTERVAL_S, *, resting_share: float = RESTING_SHARE
    ) -> None:
        self._look = look
        self._interval_s = interval_s
        self._resting_share = resting_share
        self._closing = threading.Event()
        self._complaint = ""  # used by the thread only
        self._thread = threading.Thread(target=self._run, name="gallery-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, after a check in progress."""
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
            pause = max(self._interval_s, self._resting_share * (time.monotonic() - begun))

    def _complain(self, message: str) -> None:
        if message != self._complaint:
            _log.error("changes to the database can't be followed: %s", message)
        self._complaint = message
