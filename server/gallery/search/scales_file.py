"""Caches local scales beside the database, in `people.db-index`, for the next start.

Measuring a template against the cohort takes 0.014 ms: 14 s for a million. The file is only a cache: it names the
cohort of its scales, identifies embeddings by a 64-bit hash of all their bits, and is ignored if it is damaged or
belongs to another cohort.
"""

from __future__ import annotations

import glob
import logging
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facewire.server.durable import replacing
from facewire.server.gallery.search.cohort import Cohort, measure_by
from facewire.server.gallery.search.rows import Rows
from facewire.server.gallery.storage.connection import INDEX_SUFFIX

FRESH_ROWS = 512
"""Templates missing from the file before it is written again; fewer are measured at each start (10 ms)."""

HASHED_ROWS = 4096
"""Embeddings hashed at once: 16 MB at 512 dimensions."""

_log = logging.getLogger("facewire.gallery")


class _Known(NamedTuple):
    """Ascending hashes of embeddings, and their scales."""

    keys: NDArray[np.uint64]
    scales: NDArray[np.float32]


_NOBODY = _Known(np.zeros(0, np.uint64), np.zeros(0, np.float32))


class _Unusable(Exception):
    """Why the file can't be used."""


class ScalesFile:
    """Measures scales, or looks them up if the last start measured them. Without a cohort all are 1, and there is no
    file. For one gallery, one writer at a time."""

    def __init__(self, db: Path, cohort: Cohort | None) -> None:
        self._path = db.with_name(db.name + INDEX_SUFFIX)
        self._measured = measure_by(cohort)
        self._cohort = "" if cohort is None else cohort.fingerprint
        self._known = self._read() if cohort else _NOBODY
        self._fresh = 0

    def measure(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) scales of (n, d) unit embeddings; known ones are looked up."""
        keys, scales = self._known
        if not len(keys):
            self._fresh += len(embeddings)
            return self._measured(embeddings)
        wanted = _hashes(embeddings)
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        missing = keys[places] != wanted
        self._fresh += int(missing.sum())
        found = scales[places]
        if missing.any():
            found[missing] = self._measured(embeddings[missing])
        return found

    def keep(self, rows: Rows) -> None:
        """Write the scales of `rows`, if many were missing from the file, and drop the lookup table: embeddings from
        now on are mostly new. A failure to write is logged."""
        if self._cohort and self._fresh >= FRESH_ROWS and len(rows) >= FRESH_ROWS:
            try:
                self._write(rows)
            except OSError as error:
                _log.warning("%s can't be written (%s): the next start measures all scales again", self._path, error)
        self._known = _NOBODY

    def _write(self, rows: Rows) -> None:
        keys, first = np.unique(_hashes(rows.embeddings), return_index=True)
        with replacing(self._path) as staging, staging.open("wb") as file:
            np.savez(file, cohort=np.array(self._cohort), keys=keys, scales=rows.scales[first])

    def remove(self) -> None:
        """Delete all cached scales, in memory and on disk, including leftovers of killed writers. Raises OSError if a
        file can't be deleted."""
        self._known = _NOBODY
        for path in self._path.parent.glob(f"{glob.escape(self._path.name)}*"):
            path.unlink(missing_ok=True)

    def _read(self) -> _Known:
        try:
            with self._path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                if str(stored["cohort"]) != self._cohort:
                    raise _Unusable("of another cohort")
                return _checked(_Known(stored["keys"], stored["scales"]))
        except FileNotFoundError:
            return _NOBODY
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, _Unusable) as error:
            _log.warning("%s is of no use (%s): it is made anew", self._path, error)
            return _NOBODY


def _checked(known: _Known) -> _Known:
    """Raises _Unusable unless these are ascending hashes with one scale each."""
    keys, scales = known
    whole = _is(keys, np.uint64, (len(keys),)) and _is(scales, np.float32, keys.shape)
    if not whole or not ((scales > 0) & (scales <= 1)).all() or not (keys[1:] > keys[:-1]).all():
        raise _Unusable("not ours")
    return known


def _is(array: NDArray[Any], dtype: type[np.generic], shape: tuple[int, ...]) -> bool:
    return array.dtype == dtype and array.shape == shape


def _hashes(embeddings: NDArray[np.float32]) -> NDArray[np.uint64]:
    """(n,) for (n, d): multiply-add of all bits modulo 2^64. The chance of any collision among a million vectors is 1
    in 40 million."""
    factors = np.random.default_rng(0).integers(0, 2**64, embeddings.shape[1], np.uint64, endpoint=False) | np.uint64(1)
    bits = np.ascontiguousarray(embeddings).view(np.uint32)
    blocks = [bits[at : at + HASHED_ROWS].astype(np.uint64) @ factors for at in range(0, len(bits), HASHED_ROWS)]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.uint64)
