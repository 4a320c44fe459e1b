"""Other people, as a yardstick: how near strangers come to a face decides what a similarity to it is worth.

FaceNet crowds some groups of people together: at one raw similarity, two Asian women or two children are taken for each
other many times as often as two white men. So a similarity is held against those that both its faces have to the
nearest members of a cohort of other people, as speaker verification does (AS-norm, Matejka et al. 2017). The cohort
that is shipped is a model of people, not people: see data/models/README.md.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from facewire.models import FOLDER as MODELS
from facewire.server.errors import StartError
from facewire.server.gallery.search.directions import Directions
from facewire.server.gallery.search.index import check_unit
from facewire.server.gallery.search.rows import Measure, unscaled
from facewire.server.spec import EmbeddingSpec

DEFAULT_PATH = MODELS / "cohort-facenet512.npz"

BLOCK_ROWS = 1024
"""Embeddings compared with the cohort at once: 14 MB of similarities to 3,400 members."""


NEAR = 2.0
"""Deviations above the mean of the nearest. Of what was tried (docs/decisions/0010), this keeps groups most alike, and
separates LFW's people better than the raw similarity does; z-scores do worse."""

LARGEST_REACH = 0.55
"""Faces whose near strangers are further away are all treated alike: near strangers ask for more similarity, none less.
Without it LFW's official pairs lose 1.5 points of TAR at FAR 0.1 %; with it, half a point (docs/decisions/0010)."""

SMALLEST_REACH = 0.05
"""Reach of a face that lies on top of the cohort, which no real one does: FairFace's children have 0.2 and more."""


SAMPLE = 128
"""Members that propose directions; all of them are held to UNSPANNED."""

UNSPANNED = 1e-4
"""Of the members' squared length, what may lie outside those directions. Facenet512's 512 numbers span 49 dimensions:
outside lie 0.00002 of a face's and 0.00005 of a member's, which is their model's rounding."""


class Statistics(NamedTuple):
    """Of embeddings' similarities to their nearest cohort members: `mean` and `deviation`, float32, one of each."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]


class Cohort:
    """Members to compare with; immutable, for any number of threads."""

    def __init__(self, members: NDArray[np.float32], nearest: int) -> None:
        """`members`: (m, d) float32 unit rows; `nearest`: how many of them count, fewer than m.

        `directions`: those that hold most of faces, for galleries to search in.
        """
        if not 1 <= nearest < len(members):
            raise ValueError(f"{nearest} of {len(members)} members can't be the nearest")
        check_unit(members, members.shape[1])
        self._digest = hashlib.sha256(np.ascontiguousarray(members).tobytes()).hexdigest()
        self._axes, self._members = spanned(members)
        self._nearest = nearest
        self.directions = Directions.leading(self._axes, self._members)

    @classmethod
    def load(cls, path: Path, spec: EmbeddingSpec) -> Self | None:
        """The cohort in `path`, or None where there is none, or one of other embeddings than `spec`'s.

        Raises StartError where the file is damaged.
        """
        if not path.is_file():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                if str(stored["spec"]) != spec.to_json():
                    return None
                return cls(members_of(stored), int(stored["nearest"]))
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise StartError(f"{path} is damaged: {error}; restore it from the repository") from error

    def __len__(self) -> int:
        return len(self._members)

    @property
    def fingerprint(self) -> str:
        """Names what its scales depend on besides the embeddings."""
        constants = self._digest, self._nearest, NEAR, SMALLEST_REACH, LARGEST_REACH, SAMPLE, UNSPANNED
        return hashlib.sha256(repr(constants).encode()).hexdigest()

    def statistics(self, embeddings: NDArray[np.float32]) -> Statistics:
        """Of (n, d) unit embeddings: mean and deviation, (n,) each, of the similarities to the nearest members."""
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


def spanned(members: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(d, r) orthonormal columns, the fewest directions in which members (m, d) lie but for UNSPANNED of them, and what
    of the members lies there, (m, r): a product costs r instead of d a pair. Where r is no half of d at most: all d."""
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
    """What people are ranked by: similarity held against the cohort, or plain similarity where a spec has none."""
    return unscaled if cohort is None else cohort.scales


def local_scales(statistics: Statistics) -> NDArray[np.float32]:
    """The square root of how far (1 - similarity) a face's near strangers are: those NEAR deviations above the nearest
    members' mean, from SMALLEST_REACH to LARGEST_REACH."""
    reach = 1 - statistics.mean - NEAR * statistics.deviation
    return np.sqrt(np.asarray(np.clip(reach, SMALLEST_REACH, LARGEST_REACH), np.float32))


def members_of(stored: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    """Members drawn from the Gaussians of scripts/train_cohort.py: the same ones at every start."""
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
