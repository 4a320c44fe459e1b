"""What the server measures as it works: no registry and no format, so any package can report to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Literal

Step = Literal["queue", "decode", "detect", "embed", "search"]
"""`queue`: waiting for a worker; `embed`: from handing a picture's faces to the networks to having all results."""

DROPPED = "dropped"
"""The outcome of a request whose connection was lost before its answer; else "ok" or an error code."""


class Measures:
    """Forgets what it is told; `server.metrics.PrometheusMeasures` keeps it. Methods are thread-safe, return
    immediately and raise nothing."""

    def answered(self, op: str, seconds: float) -> None:
        """A request of this op was answered, so long after it arrived."""

    def failed(self, op: str, outcome: str) -> None:
        """A request was refused, failed or dropped; `op` is "-" if it could not be read."""

    def took(self, step: Step, seconds: float) -> None:
        """One step of a request's work is done."""

    def batch(self, faces: int, seconds: float) -> None:
        """The networks have computed a batch."""

    @contextmanager
    def timing(self, step: Step) -> Iterator[None]:
        """Measures the block as one step, unless it raises."""
        begun = perf_counter()
        yield
        self.took(step, perf_counter() - begun)


NOT_MEASURED = Measures()
