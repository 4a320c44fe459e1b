"""Exact search that reads 48 bytes of every template, and complete embeddings only of those that may be the nearest.

The codes of `directions` give an upper bound of each template's nearness. Computing all bounds reads a fortieth of the
embeddings; only templates whose bound reaches the k-th person's nearness are compared exactly.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from facewire.server.gallery.search.directions import Directions, Probe
from facewire.server.gallery.search.index import ExactIndex, Hit, check_query, nearest_people
from facewire.server.gallery.search.packed import Packed

GROUPS = 8192
"""Number of groups of rows. The maximum of each group decides which rows are compared first: sorting a million bounds
would take as long as computing them."""

FIRST = 128
"""Rows compared first, to learn how near the k-th person is. Among 100,000 templates they are mostly all that need be
compared."""

TOGETHER = 4
"""Probes in one product: four cost twice as much as one, or less. 16 MB of products among a million templates."""

MOST_SHARE = 1 / 16
"""If more than this share of the templates may be among the nearest, comparing all of them in order is faster."""


class _Grouped:
    """Products (n,) in groups of rows, so that the greatest are found without looking at all again. `greatest`: of each
    group; the last rows, which fill no group, are one each."""

    def __init__(self, dots: NDArray[np.int32]) -> None:
        height = max(1, len(dots) // GROUPS)
        self._even = len(dots) - len(dots) % height
        self._groups = dots[: self._even].reshape(height, -1)
        self.greatest = np.concatenate([self._groups.max(axis=0), dots[self._even :]])

    def reaching(self, least: int) -> NDArray[np.int64]:
        """Rows with a product of at least this."""
        width = self._groups.shape[1]
        found = np.flatnonzero(self.greatest >= least)
        whole = found[: np.searchsorted(found, width)]
        at, group = np.nonzero(self._groups[:, whole] >= least)
        return np.concatenate([at * width + whole[group], self._even + found[len(whole) :] - width])


class BoundedIndex:
    """Gives the same answers as `ExactIndex` for any vectors, usually reading far less memory."""

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        person_ids: NDArray[np.int64],
        scales: NDArray[np.float32],
        codes: NDArray[np.int8],
        packed: Packed,
        directions: Directions,
    ) -> None:
        """As `ExactIndex`; `codes`: (n, WIDTH), from `Directions.codes`; `packed`: of these codes."""
        self._embeddings = embeddings
        self._person_ids = person_ids
        self._scales = scales
        self._codes = codes
        self._packed = packed
        self._directions = directions

    def __len__(self) -> int:
        return len(self._person_ids)

    def search(self, embedding: NDArray[np.float32], k: int, spare: int = 0) -> tuple[Hit, ...]:
        """See `Index.search`."""
        check_query(embedding, self._embeddings.shape[1], k)
        return self.search_all(embedding[None], k, spare)[0]

    def search_all(self, embeddings: NDArray[np.float32], k: int, spare: int = 0) -> tuple[tuple[Hit, ...], ...]:
        """See `Index.search_all`."""
        check_query(embeddings, self._embeddings.shape[1], k)
        found: list[tuple[Hit, ...]] = []
        for at in range(0, len(embeddings), TOGETHER):
            some = embeddings[at : at + TOGETHER]
            probes = [self._directions.probe(embedding) for embedding in some]
            of_all = self._packed.dots(self._codes, np.stack([probe.code for probe in probes]))
            found += [
                self._nearest(dots, probe, embedding, k, spare)
                for dots, probe, embedding in zip(of_all, probes, some, strict=True)
            ]
        return tuple(found)

    def _nearest(
        self, dots: NDArray[np.int32], probe: Probe, embedding: NDArray[np.float32], k: int, spare: int
    ) -> tuple[Hit, ...]:
        """`dots`: (n,) products of all codes with the probe's."""
        grouped = _Grouped(dots)
        hits, cut = self._first(grouped, embedding, k + spare)
        needed = probe.needed(hits[-1].nearness if hits else -math.inf)
        if hits and needed >= cut:
            return hits  # everybody who may be among the nearest was compared
        rows = grouped.reaching(needed)
        if len(rows) > self._most():
            return ExactIndex(self._embeddings, self._person_ids, self._scales).search(embedding, k, spare)
        return self._compared(rows, embedding, k + spare)

    def _first(self, grouped: _Grouped, embedding: NDArray[np.float32], k: int) -> tuple[tuple[Hit, ...], int]:
        """The k nearest people among the most promising rows, which are those with a product of at least the second
        value. Nobody if these rows show fewer than k people."""
        take = max(FIRST, 4 * k)
        while take <= len(grouped.greatest):
            cut = int(np.partition(grouped.greatest, len(grouped.greatest) - take)[len(grouped.greatest) - take])
            rows = grouped.reaching(cut)
            if len(rows) > self._most():
                break
            hits = self._compared(rows, embedding, k)
            if len(hits) >= k:
                return hits, cut
            take *= 4  # one person owns that many templates
        return (), 0

    def _most(self) -> float:
        return MOST_SHARE * len(self) + FIRST

    def _compared(self, rows: NDArray[np.int64], embedding: NDArray[np.float32], k: int) -> tuple[Hit, ...]:
        """Exact comparison with the given rows."""
        return nearest_people(self._embeddings, self._person_ids, self._scales, rows, embedding, k) if len(rows) else ()
