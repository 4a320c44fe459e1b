"""Networks that share the cores by company: one face gets all of them, several get a core each.

Threads that share a pass wait for each other after every layer, so a face costs less on one core than on two; but a
lone client would wait half as long again. docs/decisions/0059 has the measurements.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facewire.server.cores import cores
from facewire.server.vision.runtime import BATCH_SIZES, Floats, Network, OpenVinoGraph, OpenVinoNetwork, in_parts


class Streams(Protocol):
    """Computes several batches, side by side as far as there are cores."""

    def run_all(self, batches: Sequence[NDArray[Any]]) -> list[list[Floats]]: ...


class SplitNetwork:
    """A network whose batches are split evenly between `streams` cores; only its first output is used."""

    def __init__(self, graph: Streams, streams: int, batch_sizes: Sequence[int] = BATCH_SIZES) -> None:
        self._graph = graph
        self._streams = streams
        self._sizes = sorted(batch_sizes, reverse=True)

    def __call__(self, batch: NDArray[Any]) -> Floats:
        """(n, ...) -> (n, d) float32."""
        sizes = self.parts(len(batch))
        ends = np.cumsum(sizes)
        parts = [batch[end - size : end] for size, end in zip(sizes, ends, strict=True)]
        return np.concatenate([outputs[0] for outputs in self._graph.run_all(parts)])

    def parts(self, count: int) -> list[int]:
        """The sizes of the passes for so many items, largest first: as many items for each core, in `batch_sizes`."""
        sizes: list[int] = []
        for stream in range(self._streams):
            sizes += in_parts(count // self._streams + (stream < count % self._streams), self._sizes)
        return sorted(sizes, reverse=True)


class NetworkByCompany:
    """`alone` computes single items. Several are computed by the network of `open_company`, which is opened when it is
    first needed: a start doesn't wait for it, and until it is open, `alone` computes everything. Thread-safe.
    """

    def __init__(self, alone: Network, open_company: Callable[[], Network]) -> None:
        self._alone = alone
        self._open_company = open_company
        self._opening = threading.Lock()  # held by the thread that opens _company
        self._company: Network | None = None

    def __call__(self, batch: NDArray[Any]) -> Floats:
        """(n, ...) -> (n, d) float32."""
        network = self._for_company() if len(batch) > 1 else None
        return (network or self._alone)(batch)

    def _for_company(self) -> Network | None:
        if self._company is None and self._opening.acquire(blocking=False):
            try:
                self._company = self._company or self._open_company()
            finally:
                self._opening.release()
        return self._company


def open_by_company(prepared: Path, *, exact: bool = False) -> Network:
    """The network in a file as `OpenVinoGraph` takes it, by company; `exact`: see there.

    For networks of 8-bit integers: a second copy of their weights takes 40 to 80 MB, of those in float32 150.
    """
    alone = OpenVinoNetwork(OpenVinoGraph(prepared, streams=1, threads=cores(), exact=exact))
    return alone if cores() == 1 else NetworkByCompany(alone, lambda: open_split(prepared, exact=exact))


def open_split(prepared: Path, *, exact: bool = False) -> Network:
    """The network in a file as `OpenVinoGraph` takes it, a pass on each core, as for small networks and for company;
    `exact`: see there."""
    return SplitNetwork(OpenVinoGraph(prepared, streams=cores(), threads=cores(), exact=exact), cores())
