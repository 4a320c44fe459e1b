"""Counters since the server started. Every method is thread-safe."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path
from typing import Protocol

from facewire.protocol.errors import ErrorCode
from facewire.protocol.messages import StatsReport
from facewire.protocol.version import VERSION
from facewire.server.measures import DROPPED, NOT_MEASURED, Measures


class Counts(Protocol):
    """Counts kept by the service: `faces` analysed since the start; `people` and `templates` enrolled now."""

    @property
    def faces(self) -> int: ...
    @property
    def people(self) -> int: ...
    @property
    def templates(self) -> int: ...
    @property
    def model(self) -> str: ...


class Metrics:
    """Requests by op, errors by code, open connections, and uptime. What `stats` has no place for goes to
    `measures`."""

    def __init__(self, measures: Measures = NOT_MEASURED) -> None:
        self.measures = measures
        self._started = time.monotonic()
        self._lock = threading.Lock()  # guards everything below
        self._requests: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._connections = 0

    def request(self, op: str) -> None:
        """Counts a valid request of this op."""
        with self._lock:
            self._requests[op] += 1

    def answered(self, op: str, seconds: float) -> None:
        """Measures a success, sent so long after the request arrived."""
        self.measures.answered(op, seconds)

    def error(self, op: str, code: ErrorCode) -> None:
        """Counts a failure sent to a client."""
        with self._lock:
            self._errors[str(code)] += 1
        self.measures.failed(op, str(code))

    def dropped(self, op: str) -> None:
        """Measures a request that nobody waits for any more."""
        self.measures.failed(op, DROPPED)

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        with self._lock:
            return self._connections

    def connections(self, open_now: int) -> None:
        """Sets how many connections are open."""
        with self._lock:
            self._connections = open_now

    def report(self, counts: Counts) -> StatsReport:
        """The answer to `stats`."""
        with self._lock:
            return StatsReport(
                uptime_s=time.monotonic() - self._started,
                connections=self._connections,
                requests=dict(self._requests),
                errors=dict(self._errors),
                faces=counts.faces,
                people=counts.people,
                templates=counts.templates,
                model=counts.model,
                memory_mb=_resident_mb(),
                server=VERSION,
            )


def _resident_mb() -> float:
    """Resident memory of this process in megabytes; 0.0 where unknown (only Linux has /proc)."""
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        return 0.0
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024
