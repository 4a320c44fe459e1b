"""The cohort: other people's embeddings, to measure how close strangers come to a face.

FaceNet places some groups of people close together: at the same raw similarity, two Asian women or two children are
confused many times as often as two white men. So a similarity is measured relative to those of both faces to their
nearest members of a cohort of other people, as speaker verification does (AS-norm, Matejka et al. 2017). The shipped
cohort is a statistical model of people, not people: see data/models/README.md.
"""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from facewire.models import FOLDER as MODELS
from facewire.server.cache import cache_key
from facewire.server.durable import replacing
from facewire.server.errors import StartError
from facewire.server.gallery.search.directions import DIRECTIONS, Directions
from facewire.server.gallery.search.index import check_unit
from facewire.server.gallery.search.rows import Measure, unscaled
from facewire.server.spec import EmbeddingSpec

_log = logging.getLogger("facewire.gallery")

DEFAULT_PATH = MODELS / "cohort-facenet512.npz"

BLOCK_ROWS = 1024
"""Embeddings compared with the cohort at once: 21 MB of similarities to 5,175 members."""


NEAR = 2.0
"""Standard deviations above the mean of the nearest members. Of the values tried (docs/decisions/0010), this one
equalises groups best, and separates LFW's people better than the raw similarity does; z-scores do worse."""

LARGEST_REACH = 0.53
"""Upper limit of the reach: near strangers raise the similarity required, distant ones never lower it. Without the
limit LFW's official pairs lose 1.5 points of TAR at FAR 0.1 % (docs/decisions/0010, 0057)."""

SMALLEST_REACH = 0.05
"""Lower limit of the reach, for a face that coincides with a member. No real face does: FairFace's children have 0.2 or
more."""


SAMPLE = 128
"""Members from which the directions are computed; all members are then checked against UNSPANNED."""

UNSPANNED = 1e-4
"""Share of the members' squared length that may lie outside the directions. Facenet512's 512 numbers span 49
dimensions: 0.00002 of a face and 0.00005 of a member lie outside, which is rounding in their model."""


class Statistics(NamedTuple):
    """`mean` and `deviation` (both float32, (n,)) of n embeddings' similarities to their nearest cohort members."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]


class Members(NamedTuple):
    """All that a cohort needs of its members.

    `digest`: identifies them; `axes`, `inside`: see `spanned`; `leading`: the `axes` of Directions.
    """

    digest: str
    axes: NDArray[np.float32]
    inside: NDArray[np.float32]
    leading: NDArray[np.float32]

    @classmethod
    def of(cls, rows: NDArray[np.float32]) -> Self:
        """Of (m, d) float32 unit rows. Raises ValueError if they aren't."""
        check_unit(rows, rows.shape[1])
        axes, inside = spanned(rows)
        digest = hashlib.sha256(np.ascontiguousarray(rows).data).hexdigest()
        return cls(digest, axes, inside, Directions.leading(axes, inside).axes)


class Cohort:
    """Cohort members to compare with; immutable and thread-safe."""

    def __init__(self, members: NDArray[np.float32] | Members, nearest: int) -> None:
        """`members`: (m, d) float32 unit rows, or all that is needed of them; `nearest`: the number of nearest members
        that count, fewer than m.

        `directions`: those that hold most of a face, for galleries to search in.
        """
        known = members if isinstance(members, Members) else Members.of(members)
        if not 1 <= nearest < len(known.inside):
            raise ValueError(f"{nearest} of {len(known.inside)} members can't be the nearest")
        self._digest, self._axes, self._members, leading = known
        self._nearest = nearest
        self.directions = Directions(leading)

    @classmethod
    def load(cls, path: Path, spec: EmbeddingSpec, cache_dir: Path | None = None) -> Self | None:
        """The cohort in `path`, or None if there is no file or it belongs to another spec than `spec`.

        Drawing its members takes a tenth of a second, so what is needed of them is kept in `cache_dir`. Raises
        StartError if the file is damaged.
        """
        if not path.is_file():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                if str(stored["spec"]) != spec.to_json():
                    return None
                members = Members.of(members_of(stored)) if cache_dir is None else _kept(path, stored, cache_dir)
                return cls(members, int(stored["nearest"]))
        except _DAMAGE as error:
            raise StartError(f"{path} is damaged: {error}; restore it from the repository") from error

    def __len__(self) -> int:
        return len(self._members)

    @property
    def axes(self) -> NDArray[np.float32]:
        """(d, r) orthonormal columns: the directions that all but UNSPANNED of the members lies in."""
        return self._axes

    @property
    def fingerprint(self) -> str:
        """Identifies everything the scales depend on besides the embeddings."""
        constants = self._digest, self._nearest, NEAR, SMALLEST_REACH, LARGEST_REACH, SAMPLE, UNSPANNED
        return hashlib.sha256(repr(constants).encode()).hexdigest()

    def statistics(self, embeddings: NDArray[np.float32]) -> Statistics:
        """For (n, d) unit embeddings: mean and deviation of the similarities to their nearest members, (n,) each."""
        check_unit(embeddings, len(self._axes))
        blocks = [self._of_block(embeddings[at : at + BLOCK_ROWS]) for at in range(0, len(embeddings), BLOCK_ROWS)]
        if not blocks:
            return Statistics(np.zeros(0, np.float32), np.zeros(0, np.float32))
        return Statistics(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))

    def scales(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) local scales of (n, d) unit embeddings, see `server.comparison`."""
        return local_scales(self.statistics(embeddings))

    def _of_block(self, embeddings: NDArray[np.float32]) -> Statistics:
        similarities = (embeddings @ self._axes) @ self._members.T
        cut = similarities.shape[1] - self._nearest
        similarities.partition(cut, axis=1)
        nearest = similarities[:, cut:]
        return Statistics(nearest.mean(axis=1), nearest.std(axis=1))


_KEPT = "members"
"""A SHA-256, and the .npz that it is of: damage is found before anything is parsed."""

_SHA256_BYTES = 32

_DRAWING = 1
"""Raise it when members are drawn, or written, in another way: what was kept before is then not found."""

_DAMAGE = (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile)


def _kept(path: Path, stored: Mapping[str, NDArray[np.generic]], cache_dir: Path) -> Members:
    """The members of the cohort in `path`, `stored`, from the cache, or drawn and kept there."""
    of_file = hashlib.sha256(path.read_bytes()).hexdigest()
    key = cache_key("cohort members", of_file, repr((_DRAWING, SAMPLE, UNSPANNED, DIRECTIONS)), np.__version__)
    kept = cache_dir / key / _KEPT
    try:
        return _read(kept)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except _DAMAGE as error:
        _log.warning("drawing the cohort anew, as what was kept of it can't be used: %s", error)
    members = Members.of(members_of(stored))
    try:
        _keep(members, kept)
    except OSError as error:
        _log.warning("drawing the cohort at each start, as it can't be kept: %s", error)
    return members


def _read(kept: Path) -> Members:
    """Raises what is in _DAMAGE."""
    content = kept.read_bytes()
    if hashlib.sha256(content[_SHA256_BYTES:]).digest() != content[:_SHA256_BYTES]:
        raise ValueError(f"{kept} is not what was written")
    with np.load(BytesIO(content[_SHA256_BYTES:]), allow_pickle=False) as read:
        return Members(str(read["digest"]), read["axes"], read["inside"], read["leading"])


def _keep(members: Members, kept: Path) -> None:
    """Raises OSError. Two servers at once write the same, and a reader sees a whole file or none."""
    content = BytesIO()
    np.savez(content, **members._asdict())
    kept.parent.mkdir(parents=True, exist_ok=True)
    with replacing(kept) as staging:
        staging.write_bytes(hashlib.sha256(content.getvalue()).digest() + content.getvalue())


def spanned(members: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Orthonormal basis (d, r) that holds all but UNSPANNED of the energy of members (m, d), and their coordinates in
    it, (m, r): a comparison then costs r operations instead of d. Uses all d dimensions if r > d/2."""
    dimension = members.shape[1]
    some = members[:: max(1, len(members) // SAMPLE)].astype(np.float64)
    powers, mixtures = np.linalg.eigh(some @ some.T)  # ascending
    rank = 1 + int(np.count_nonzero(np.cumsum(powers[::-1]) < (1 - UNSPANNED) * powers.sum()))
    if 2 * rank <= min(dimension, len(some)):
        axes = np.asarray(some.T @ (mixtures[:, -rank:] / np.sqrt(powers[-rank:])), np.float32)
        inside = members @ axes
        if np.square(inside).sum() >= (1 - UNSPANNED) * len(members):
            return axes, inside
    return np.eye(dimension, dtype=np.float32), members


def measure_by(cohort: Cohort | None) -> Measure:
    """The scales that people are ranked by; all 1 without a cohort, which ranks by plain similarity."""
    return unscaled if cohort is None else cohort.scales


def local_scales(statistics: Statistics) -> NDArray[np.float32]:
    """The square root of the reach, the distance (1 - similarity) to a face's near strangers: NEAR deviations above the
    nearest members' mean, limited to SMALLEST_REACH to LARGEST_REACH."""
    reach = 1 - statistics.mean - NEAR * statistics.deviation
    return np.sqrt(np.asarray(np.clip(reach, SMALLEST_REACH, LARGEST_REACH), np.float32))


def members_of(stored: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    """Members drawn from the Gaussians of scripts/train_cohort.py; the same at every start."""
    choice = np.random.default_rng(int(stored["seed"]))
    factors = stored["factors"].astype(np.float32) * stored["factor_scales"].astype(np.float32)[:, None]
    ends = np.cumsum(stored["ranks"].astype(np.int64))
    parts = []
    for mean, end, rank, residual, count in zip(
        stored["means"].astype(np.float32), ends, stored["ranks"], stored["residuals"], stored["members"], strict=True
    ):
        inside = choice.standard_normal((count, rank), np.float32) @ factors[end - rank : end]
        parts.append(mean + inside + residual * choice.standard_normal((count, len(mean)), np.float32))
    members = np.concatenate(parts)
    return np.asarray(members / np.linalg.norm(members, axis=1, keepdims=True), np.float32)
