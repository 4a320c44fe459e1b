"""Keeps the index beside the database, in `people.db-index`, for the next start.

Reading a million embeddings from SQLite and coding them takes 12 s of processor time. The file holds the rows as they
are in memory; the embeddings, by far the most of it, are mapped, not read. SQLite remains the truth: the file names a
token that the database holds as well, written in the state that the file shows. A database with that token is that
state, or continues from it, and its journal says what changed since (docs/decisions/0061). Any other database is read
completely; then the file only spares measuring scales, which takes 0.014 ms a template.
"""

from __future__ import annotations

import glob
import json
import logging
import mmap
import secrets
import zlib
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from facewire.server.durable import replacing
from facewire.server.gallery.search.cohort import Cohort, measure_by
from facewire.server.gallery.search.directions import STEP, WIDTH, Directions
from facewire.server.gallery.search.rows import Rows, roomy
from facewire.server.gallery.storage.connection import INDEX_SUFFIX

FRESH_ROWS = 512
"""Templates missing from the file before it is written again; fewer are measured at each start (10 ms)."""

FRESH_SHARE = 1 / 64
"""As many in a large gallery, whose file takes longer to write: two gigabytes for a million."""

HASHED_ROWS = 512
"""Embeddings hashed at once: 1 MB at 512 dimensions."""

VERSION = 3
"""Of the file. Older ones have no embeddings."""

_PAGE = 4096
"""Size of the header, and what the embeddings' place in the file is a multiple of."""

_log = logging.getLogger("facewire.gallery")


class Kept(NamedTuple):
    """The rows of the file, and the event and epoch of the state that they show, see `Snapshot`."""

    rows: Rows
    event: int
    epoch: str


class _Layout(NamedTuple):
    """Shapes of the arrays, in the order in which they lie behind the header; the embeddings follow at `begin`, with
    room for `capacity` rows."""

    rows: int
    dimension: int
    directions: int

    @property
    def capacity(self) -> int:
        return roomy(self.rows)

    @property
    def small(self) -> int:
        """Bytes of everything but the embeddings."""
        return 4 * self.dimension * self.directions + (3 * 8 + 4 + WIDTH) * self.rows

    @property
    def begin(self) -> int:
        return _PAGE * (1 + -(-self.small // _PAGE))

    @property
    def end(self) -> int:
        return self.begin + 4 * self.dimension * self.capacity

    def arrays(self, content: bytearray) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """The axes (d, r) float32, ids (3, n) int64, scales (n,) float32 and codes (n, WIDTH) int8 in these bytes."""
        shapes = ((self.dimension, self.directions), "<f4"), ((3, self.rows), "<i8"), ((self.rows,), "<f4")
        found, at = list[NDArray[Any]](), 0
        for shape, kind in (*shapes, ((self.rows, WIDTH), "i1")):
            array = np.frombuffer(content, kind, int(np.prod(shape)), at).reshape(shape)
            at += array.nbytes
            found.append(array)
        return found[0], found[1], found[2], found[3]


class _Unusable(Exception):
    """Why the file can't be used."""


class _File(NamedTuple):
    """A file that was written by this version for this cohort, and is complete."""

    header: dict[str, Any]
    axes: NDArray[np.float32]
    ids: NDArray[np.int64]
    scales: NDArray[np.float32]
    codes: NDArray[np.int8]
    embeddings: NDArray[np.float32]

    @classmethod
    def read(cls, path: Path, cohort: str) -> Self:
        """Raises OSError, ValueError, KeyError, TypeError or _Unusable."""
        with path.open("rb") as file:
            header = json.loads(file.read(_PAGE).rstrip(b"\0"))
            if header["version"] != VERSION or header["coding"] != [WIDTH, STEP]:
                raise _Unusable("of another version")
            if header["cohort"] != cohort:
                raise _Unusable("made with another cohort")
            layout = _Layout(*header["layout"])
            if path.stat().st_size != layout.end:
                raise _Unusable("not as long as it should be")
            content = bytearray(layout.small)
            if file.readinto(content) != layout.small or header.pop("sum") != _sum_of(header, content):
                raise _Unusable("damaged")
            # Private: rows that are added later are written to memory of our own, the file stays as it is.
            mapped = mmap.mmap(file.fileno(), layout.end, access=mmap.ACCESS_COPY)
        embeddings = np.frombuffer(mapped, "<f4", layout.capacity * layout.dimension, layout.begin)
        return cls(header, *layout.arrays(content), embeddings.reshape(layout.capacity, layout.dimension))


class _Known(NamedTuple):
    """Ascending hashes of embeddings, and their scales."""

    keys: NDArray[np.uint64]
    scales: NDArray[np.float32]

    @classmethod
    def of(cls, file: _File | None) -> Self:
        """What a file knows; without one, nothing."""
        if file is None:
            return cls(np.zeros(0, np.uint64), np.zeros(0, np.float32))
        keys, first = np.unique(_hashes(file.embeddings[: len(file.scales)]), return_index=True)
        return cls(keys, file.scales[first])


class IndexFile:
    """The rows of the last start. If the database is another one, scales are looked up in them instead of measured.
    Without a cohort there is no file. For one gallery, one thread at a time, but for `measure` once it is loaded."""

    def __init__(self, db: Path, cohort: Cohort | None) -> None:
        self._path = db.with_name(db.name + INDEX_SUFFIX)
        self._measured = measure_by(cohort)
        self._cohort = cohort
        self._file = self._read()
        self._known: _Known | None = None
        self._mapped: Rows | None = None

    def kept(self, token: str) -> Kept | None:
        """What the file shows, if the database, which holds `token`, is in that state or continues from it."""
        file = self._file
        if file is None or not token or file.header["token"] != token:
            return None
        arrays = file.embeddings, file.scales, file.codes, file.ids
        self._mapped = Rows.over(*arrays, self.measure, Directions(file.axes))
        return Kept(self._mapped, int(file.header["event"]), str(file.header["epoch"]))

    def measure(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) scales of (n, d) unit embeddings. Until `loaded`, those in the file are looked up, unless it is `kept`:
        few are new then."""
        if self._file is None or self._mapped is not None:
            return self._measured(embeddings)
        if self._known is None:
            self._known = _Known.of(self._file)
        keys, scales = self._known
        wanted = _hashes(embeddings)
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        missing = keys[places] != wanted
        found = scales[places]
        if missing.any():
            found[missing] = self._measured(embeddings[missing])
        return found

    def disbelieve(self) -> None:
        """What was `kept` is not what the database holds: from now on the file is only good for scales."""
        self._mapped = None

    def loaded(self) -> None:
        """Embeddings from now on are mostly new: what finds known ones is dropped."""
        self._file = self._known = self._mapped = None

    def lacks(self, rows: Rows) -> bool:
        """Whether to write the file: it doesn't show these rows, or others too that were removed, or many came
        since."""
        if self._cohort is None or len(rows) < FRESH_ROWS:
            return False
        if self._mapped is None or not rows.continues(self._mapped):
            return True
        return len(rows) - len(self._mapped) >= max(FRESH_ROWS, FRESH_SHARE * len(rows))

    def write(self, rows: Rows, event: int, epoch: str) -> str | None:
        """Write the file; returns the token that the database has to hold from now on. None, with a line in the log, if
        it can't be written."""
        assert self._cohort is not None, "there is a file"
        token = secrets.token_hex(16)
        header = {"token": token, "event": event, "epoch": epoch, "cohort": self._cohort.fingerprint}
        try:
            with replacing(self._path) as staging:
                _write(staging, rows, header)
        except OSError as error:
            _log.warning("%s can't be written (%s): the next start reads all templates again", self._path, error)
            return None
        return token

    def mapped(self, token: str) -> Rows | None:
        """The rows just written, which then need no memory of our own."""
        self._file = self._read()
        kept = self.kept(token)
        self.loaded()
        return kept.rows if kept else None

    def remove(self) -> None:
        """Delete the file, including leftovers of killed writers. Raises OSError if one can't be deleted."""
        self.loaded()
        for path in self._path.parent.glob(f"{glob.escape(self._path.name)}*"):
            path.unlink(missing_ok=True)

    def _read(self) -> _File | None:
        if self._cohort is None:
            return None
        try:
            return _File.read(self._path, self._cohort.fingerprint)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, _Unusable) as error:
            _log.warning("%s can't be used (%s): it is made again", self._path, error)
            return None


def _sum_of(header: dict[str, object], small: bytes | bytearray) -> int:
    """Of everything in the file but the embeddings, of which each start compares some (see `writer`)."""
    return zlib.crc32(json.dumps(header, sort_keys=True).encode(), zlib.crc32(small))


def _write(path: Path, rows: Rows, header: dict[str, object]) -> None:
    assert rows.directions is not None, "there is a cohort"
    axes = rows.directions.axes
    ids = np.stack([rows.template_ids, rows.image_ids, rows.person_ids])
    layout = _Layout(len(rows), rows.embeddings.shape[1], axes.shape[1])
    small = b"".join(array.tobytes() for array in (axes, ids, rows.scales, rows.codes))
    header |= {"version": VERSION, "coding": [WIDTH, STEP], "layout": list(layout)}
    header |= {"sum": _sum_of(header, small)}
    with path.open("wb") as file:
        file.write(json.dumps(header).encode().ljust(_PAGE, b"\0"))
        file.write(small)
        file.seek(layout.begin)
        file.write(rows.embeddings.data)
        file.truncate(layout.end)  # room for more rows, which takes none on the disk


def _hashes(embeddings: NDArray[np.float32]) -> NDArray[np.uint64]:
    """(n,) for (n, d): multiply-add of all bits modulo 2^64. The chance of any collision among a million vectors is 1
    in 40 million."""
    embeddings = np.ascontiguousarray(embeddings)
    if embeddings.shape[1] % 2:
        embeddings = np.pad(embeddings, ((0, 0), (0, 1)))
    factors = np.random.default_rng(0).integers(0, 2**64, embeddings.shape[1] // 2, np.uint64, endpoint=False)
    factors |= np.uint64(1)
    pairs = embeddings.view(np.uint64)
    # A product carries bits upwards only, so the uppermost are mixed into lower ones first; not by 32, where both
    # numbers' signs would meet.
    mixed = (pairs[at : at + HASHED_ROWS] for at in range(0, len(pairs), HASHED_ROWS))
    blocks = [(block ^ (block >> np.uint64(29))) @ factors for block in mixed]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.uint64)
