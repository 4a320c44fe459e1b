"""A progress bar on a terminal: tqdm's, or where that is not installed a line every few seconds. Elsewhere, nothing."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

from facewire.protocol.text import printable

if TYPE_CHECKING:
    from tqdm import tqdm

_LINE_EVERY_S = 5.0


class Bar:
    """A context manager; the bar is removed at its end."""

    def __init__(self, label: str, unit: str) -> None:
        """`unit`: what is counted; "B", for bytes, are shown as kB, MB, GB."""
        self._label = printable(label)
        self._unit = unit
        self._on_terminal = sys.stderr.isatty()
        self._drawn: tqdm[NoReturn] | _Lines | None = None

    def at(self, done: int, total: int, *, label: str | None = None) -> None:
        """Shows that `done` of `total` are done; `total` 0 if unknown. A new label starts a new bar."""
        if not self._on_terminal:
            return
        if label is not None and printable(label) != self._label:
            self._label = printable(label)
            self.close()
        if self._drawn is None:
            self._drawn = _drawn(self._label, self._unit, total or None)
        self._drawn.total = total or None
        self._drawn.update(done - int(self._drawn.n))

    def close(self) -> None:
        """Removes the bar."""
        if self._drawn is not None:
            self._drawn.close()
            self._drawn = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _drawn(label: str, unit: str, total: int | None) -> tqdm[NoReturn] | _Lines:
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:  # it comes with facewire[cli]
        return _Lines(label, unit)
    scale = unit == "B"
    return tqdm(
        desc=label, total=total, unit=unit if scale else f" {unit}", unit_scale=scale, leave=False, file=sys.stderr
    )


class _Lines:
    """In tqdm's place."""

    def __init__(self, label: str, unit: str) -> None:
        self.n = 0
        self.total: int | None = None
        self._label = label
        self._unit = unit
        self._next = time.monotonic() + _LINE_EVERY_S

    def update(self, n: int) -> None:
        self.n += n
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_EVERY_S
            of = f" of {self.total}" if self.total else ""
            print(f"{self._label}: {self.n}{of} {self._unit}", file=sys.stderr, flush=True)

    def close(self) -> None:
        return
