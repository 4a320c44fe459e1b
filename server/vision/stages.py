"""Says on stderr what a first start is doing: it converts networks, which takes a quarter of a minute, once."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_log = logging.getLogger("facewire.first_start")


class Stages:
    """The stages of one conversion, a line for each as it begins."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()

    def now(self, what: str) -> None:
        """The next stage begins."""
        _log.info("%s (after %.1f s)", what, time.perf_counter() - self._begun)


@contextmanager
def shown_plainly() -> Iterator[None]:
    """For commands that otherwise log nothing: the stages alone, as plain lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    level = _log.level
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    try:
        yield
    finally:
        _log.removeHandler(handler)
        _log.setLevel(level)
