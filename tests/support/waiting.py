"""Waiting for what another thread or process does, as long as it takes and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 30.0


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it came true before patience ended."""
    limit = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.01)
    return True
