"""How many processors there are for this process."""

from __future__ import annotations

import os


def cores() -> int:
    """Processors that this process may run on: fewer than the machine's under taskset or in a container."""
    return len(os.sched_getaffinity(0))
