"""Waits for another thread or process, with a generous timeout."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 30.0


def eventually(condition: Callable[[], bool]) -> bool:
    """Waits until the condition is true. False on timeout."""
    limit = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.01)
    return True
