"""A progress bar on a terminal's last line; on anything else, nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from facewire.client.report import bars_for
from facewire.protocol.text import printable

_REDRAW_S = 0.1


class Progress:
    """How far, how fast, how long still. Use as a context manager: it cleans its line away at the end."""

    def __init__(self, label: str, unit: str, *, size: Callable[[float], str] = lambda count: f"{count:.0f}") -> None:
        """`unit`: what is counted; `size`: a count in words."""
        self._label = label
        self._unit = unit
        self._size = size
        self._out: TextIO = sys.stderr
        self._drawn = self._out.isatty()
        self._bars = bars_for(self._out.encoding)
        self._begun: tuple[float, int] | None = None  # when, and with how many done
        self._last = 0.0
        self._width = 0

    def at(self, done: int, total: int, *, label: str | None = None) -> None:
        """So far it is; `total` 0 where nobody knows."""
        now = time.monotonic()
        if label is not None and printable(label) != self._label:
            self._label, self._begun = printable(label), None
        if self._begun is None:
            self._begun = now, done
        if not self._drawn or (now - self._last < _REDRAW_S and done < total):
            return
        self._last = now
        self._draw(self._line(done, total, now))

    def note(self, text: str) -> None:
        """A line that stays, above the bar."""
        self._draw("")
        print(printable(text), file=self._out, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draw("")

    def _line(self, done: int, total: int, now: float) -> str:
        begun_at, begun_with = self._begun or (now, done)
        elapsed = now - begun_at
        rate = (done - begun_with) / elapsed if elapsed > 0.5 else 0.0
        speed = f"  {self._size(rate)} {self._unit}/s" if rate else ""
        if not total:
            return f"{self._label}  {self._size(done)} {self._unit}{speed}"
        left = f"  {_clock((total - done) / rate)} left" if rate and done < total else ""
        counts = f"{self._size(done)} of {self._size(total)} {self._unit}"
        return f"{self._label}  {self._bars.draw(done / total)} {done / total:4.0%}  {counts}{speed}{left}"

    def _draw(self, line: str) -> None:
        if self._drawn:
            self._out.write("\r" + line.ljust(self._width) + ("" if line else "\r"))
            self._out.flush()
            self._width = len(line)


def megabytes(count: float) -> str:
    """Bytes as MB."""
    return f"{count / 1e6:.1f}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
