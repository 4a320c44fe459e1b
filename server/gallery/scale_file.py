"""Scales beside their database: `people.db-scales`, so that the next start needn't hold everybody against the cohort.

Measuring a template takes 0.07 ms, a million of them over a minute. The file is only ever a shortcut: it says of which
cohort it is, knows embeddings by a 64-bit hash of all their bits, and one that is damaged or of another cohort counts
as none.
"""

from __future__ import annotations

import glob
import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.durable import replacing
from server.gallery.cohort import Cohort
from server.gallery.connection import SCALES_SUFFIX
from server.gallery.rows import Rows

FRESH_ROWS = 512
"""So many templates that the file lacks are measured again at each start (40 ms) before it is written anew."""

HASHED_ROWS = 4096
"""Embeddings hashed at once: 16 MB at 512 dimensions."""

_log = logging.getLogger("facewire.gallery")


class ScaleFile:
    """What a cohort says of embeddings, those of the last start remembered. For one gallery; any number of threads."""

    def __init__(self, db: Path, cohort: Cohort) -> None:
        self._path = db.with_name(db.name + SCALES_SUFFIX)
        self._cohort = cohort
        # Ascending hashes and the scale of each. Replaced as a whole.
        self._known = self._read()

    def measure(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) for (n, d) unit embeddings: `Cohort.scales`, of those that are known without looking at the cohort."""
        keys, scales = self._known
        if not len(keys):
            return self._cohort.scales(embeddings)
        wanted = _hashes(embeddings)
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        found = scales[places]
        missing = keys[places] != wanted
        if missing.any():
            found[missing] = self._cohort.scales(embeddings[missing])
        return found

    def keep(self, rows: Rows) -> None:
        """Write the scales of `rows` where the file lacks many of them. A failure is logged."""
        if len(rows) < FRESH_ROWS:
            return
        keys, first = np.unique(_hashes(rows.embeddings), return_index=True)
        if np.isin(keys, self._known[0], assume_unique=True, invert=True).sum() < FRESH_ROWS:
            return
        scales = rows.scales[first]
        try:
            with replacing(self._path) as staging, staging.open("wb") as file:
                np.savez(file, cohort=np.array(self._cohort.fingerprint), keys=keys, scales=scales)
        except OSError as error:
            _log.warning("%s can't be written (%s): the next start measures everybody again", self._path, error)
            return
        self._known = keys, scales

    def remove(self) -> None:
        """Forget everybody, here and on the disk. Raises OSError where the file can't be deleted."""
        self._known = _NOBODY
        for path in self._path.parent.glob(f"{glob.escape(self._path.name)}*"):
            path.unlink(missing_ok=True)

    def _read(self) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
        try:
            with np.load(self._path, allow_pickle=False) as stored:
                cohort, keys, scales = str(stored["cohort"]), stored["keys"], stored["scales"]
        except FileNotFoundError:
            return _NOBODY
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            _log.warning("%s is of no use (%s): everybody is measured again", self._path, error)
            return _NOBODY
        if cohort != self._cohort.fingerprint or not _plausible(keys, scales):
            _log.warning("%s is of no use (of another cohort, or not ours): everybody is measured again", self._path)
            return _NOBODY
        return keys, scales


_NOBODY = np.zeros(0, np.uint64), np.zeros(0, np.float32)


def _plausible(keys: NDArray[Any], scales: NDArray[Any]) -> bool:
    """Whether these may be ascending hashes and a scale of each."""
    if keys.dtype != np.uint64 or scales.dtype != np.float32 or keys.ndim != 1 or keys.shape != scales.shape:
        return False
    return bool(((scales > 0) & (scales <= 1)).all() and (keys[1:] > keys[:-1]).all())


def _hashes(embeddings: NDArray[np.float32]) -> NDArray[np.uint64]:
    """(n,) for (n, d): multiply-add of all bits modulo 2^64. Of a million vectors two are alike once in 40 million."""
    factors = np.random.default_rng(0).integers(0, 2**64, embeddings.shape[1], np.uint64, endpoint=False) | np.uint64(1)
    bits = np.ascontiguousarray(embeddings).view(np.uint32)
    blocks = [bits[at : at + HASHED_ROWS].astype(np.uint64) @ factors for at in range(0, len(bits), HASHED_ROWS)]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.uint64)
