"""Waits for another thread or process, with a generous timeout."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 120.0


def eventually(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
    """Waits until the condition is true. False on timeout."""
    limit = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.01)
    return True
