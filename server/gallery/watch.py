"""Looking, now and then, whether another process changed the gallery: one thread, bounded in what it costs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

WATCH_INTERVAL_S = 0.5
"""What another process commits is in force here after at most this long, plus what reading it takes. Looking costs some
microseconds; doing it at every search instead would let the first one after a change wait until all was read."""

RESTING_SHARE = 10
"""After a look that took t seconds the next one waits at least so many times t: somebody who commits all the time takes
a tenth of a core here, not all of it."""

_log = logging.getLogger("facewire.gallery")


class Watch:
    """Calls `look` until closed. `look` says whether it found anything, and raises nothing it can't be called after."""

    def __init__(self, look: Callable[[], bool], interval_s: float = WATCH_INTERVAL_S) -> None:
        self._look = look
        self._interval_s = interval_s
        self._closing = threading.Event()
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
            self._look()
            pause = max(self._interval_s, RESTING_SHARE * (time.monotonic() - begun))
