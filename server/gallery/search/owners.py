"""Finds a person's rows without looking through everybody's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_TAIL_ROWS = 4096
"""Rows that are looked through, because they were added after the sorting: 2 microseconds a person."""

_TAIL_SHARE = 1 / 64
"""As many in a large gallery, whose sorting takes longer: 0.1 s for a million rows."""


class Owners:
    """The first rows of a gallery, sorted by person; later rows are searched one by one. Immutable."""

    def __init__(self, rows: NDArray[np.int64] | None = None, people: NDArray[np.int64] | None = None) -> None:
        """`rows`: (m,) the first m rows, sorted by person; `people`: (m,) the person of each."""
        self._rows = np.empty(0, np.int64) if rows is None else rows
        self._people = np.empty(0, np.int64) if people is None else people

    def covering(self, person_ids: NDArray[np.int64]) -> Owners:
        """The same or, where many rows of `person_ids` (n,) came later, all of them sorted."""
        if len(person_ids) - len(self._rows) <= max(_TAIL_ROWS, _TAIL_SHARE * len(person_ids)):
            return self
        rows = np.argsort(person_ids, kind="stable")
        return Owners(rows, person_ids[rows])

    def rows_of(self, people: Sequence[int], person_ids: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The rows of each of these people, ascending; `person_ids`: (n,) the person of every row."""
        begins, ends = (np.searchsorted(self._people, people, side).tolist() for side in ("left", "right"))
        sorted_ = len(self._rows)
        later = person_ids[sorted_:]
        return [
            np.concatenate([self._rows[begin:end], sorted_ + np.flatnonzero(later == person)])
            for person, begin, end in zip(people, begins, ends, strict=True)
        ]
