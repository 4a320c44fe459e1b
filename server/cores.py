"""The number of processors available to this process."""

from __future__ import annotations

import os


def cores() -> int:
    """Processors this process may run on; fewer than the machine has under taskset or in a container."""
    return len(os.sched_getaffinity(0))
