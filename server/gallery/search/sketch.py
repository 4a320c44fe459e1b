"""Search in a large gallery: sketches of a thousand bits propose, and the templates themselves decide.

A bit of a sketch is the side of a random plane that an embedding lies on. Two embeddings lie on different sides of such
a plane with probability angle / pi (Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002),
so the bits in which a probe and a template differ say how near they can be, with a chance of error that is known and
depends neither on the gallery nor on its size. A sketch is a sixteenth of its embedding, and counting bits is cheap:
all of them are looked at, which takes a million 20 ms, and only who may be among the nearest is compared.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from facewire.server.gallery.search.index import ExactIndex, Hit, check_query

BITS = 1024
"""At 512 bits twice as fast to look at, and ten times as many templates to compare (docs/decisions/0007)."""
WORDS = BITS // 64
SEED = 0

DEVIATIONS = 3.0
"""A template is left out where it would have to be among the 0.13 % whose sketch lies so far off."""

BLOCK = 65_536
"""Sketches looked at together: what is counted of them stays in a core's cache."""

PEAKS = 8192
"""The most hopeful rows of about so many groups decide which are compared first: to order a million rows would take as
long as counting all their bits."""

FIRST, MOST_FIRST = 256, 4096
"""How many rows are compared to learn how near the k-th person is: at first, and at most, before all are."""

SKETCHED_ROWS = 8192
"""Embeddings sketched at once: 32 MB of products."""


@lru_cache(maxsize=4)
def _planes(dimension: int) -> NDArray[np.float32]:
    """(d, BITS): the planes' normals, in groups as orthogonal as there is room for, which makes the count of bits less
    noisy than independent ones would (Ji et al., "Super-bit locality-sensitive hashing", NIPS 2012)."""
    rng = np.random.default_rng(SEED)
    groups = []
    for start in range(0, BITS, dimension):
        drawn = rng.standard_normal((dimension, min(dimension, BITS - start)))
        basis, triangle = np.linalg.qr(drawn)
        groups.append(basis * np.sign(np.diag(triangle)))  # else its signs are the library's choice
    return np.concatenate(groups, axis=1).astype(np.float32)


def sketch(embeddings: NDArray[np.float32]) -> NDArray[np.uint64]:
    """(n, WORDS) for (n, d) embeddings: 14 microseconds each on an AVX2 core at 512 dimensions."""
    planes = _planes(embeddings.shape[1])
    sketches = np.empty((len(embeddings), WORDS), np.uint64)
    for start in range(0, len(embeddings), SKETCHED_ROWS):
        rows = slice(start, start + SKETCHED_ROWS)
        sketches[rows] = np.packbits(embeddings[rows] @ planes > 0, axis=1).view(np.uint64)
    return sketches


def _greatest_cosines() -> NDArray[np.float32]:
    """(BITS + 1,): by how many bits differ, the greatest cosine that is not unlikely.

    The lower limit of Wilson's score interval for the chance that a plane parts the two, times pi, is the angle.
    """
    differing = np.arange(BITS + 1)
    z2 = DEVIATIONS**2
    middle, spread = 2 * differing + z2, DEVIATIONS * np.sqrt(z2 + 4 * differing * (1 - differing / BITS))
    return np.cos(np.pi * (middle - spread) / (2 * (BITS + z2))).astype(np.float32)


_SHORT_OF_ONE = _greatest_cosines() - 1


class SketchIndex:
    """An `Index` that looks at every sketch and compares the few templates that may be among the nearest.

    What it may miss: each of the k nearest people's best templates with a probability of at most 0.0013, the less the
    nearer it is. Recall does not depend on how many templates there are.
    """

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        person_ids: NDArray[np.int64],
        scales: NDArray[np.float32],
        sketches: NDArray[np.uint64],
    ) -> None:
        """As `ExactIndex`; `sketches`: (WORDS, n), a column for each row."""
        self._embeddings = embeddings
        self._person_ids = person_ids
        self._scales = scales
        self._sketches = sketches

    def __len__(self) -> int:
        return len(self._person_ids)

    def search(self, embedding: NDArray[np.float32], k: int, spare: int = 0) -> tuple[Hit, ...]:
        """See `Index.search`: the same but for what the class says may be missed."""
        check_query(embedding, self._embeddings.shape[1], k)
        if not len(self):
            return ()
        hopes, peaks = self._hopes(embedding)
        first, reached = self._first(embedding, k, hopes, peaks)
        chosen = hopes >= reached
        chosen[first] = True
        return self._compared(np.flatnonzero(chosen), embedding, k + spare)

    def _hopes(self, embedding: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(n,): the greatest nearness that each row may have by its sketch; and the peaks among them."""
        probe, group = sketch(embedding[None])[0], max(1, len(self) // PEAKS)
        hopes = np.empty(len(self), np.float32)
        peaks = []
        for start in range(0, len(self), BLOCK):
            block = slice(start, start + BLOCK)
            differing = np.zeros(len(hopes[block]), np.uint16)
            for words, word in zip(self._sketches, probe, strict=True):
                differing += np.bitwise_count(words[block] ^ word)
            hope = np.take(_SHORT_OF_ONE, differing, out=hopes[block], mode="clip")  # "raise" would buffer
            hope /= self._scales[block]
            even = len(hope) - len(hope) % group
            peaks += [hope[:even].reshape(group, -1).max(axis=0), hope[even:]]
        return hopes, np.concatenate(peaks)

    def _first(
        self, embedding: NDArray[np.float32], k: int, hopes: NDArray[np.float32], peaks: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], float]:
        """The most hopeful rows, among which are k people, and how near the k-th of them is."""
        take = max(FIRST, 4 * k)
        while take <= min(MOST_FIRST, len(peaks)):
            cut = np.partition(peaks, len(peaks) - take)[len(peaks) - take]
            rows = np.flatnonzero(hopes >= cut)
            hits = self._compared(rows, embedding, k)
            if len(hits) >= k:
                return rows, hits[-1].nearness
            take *= 4  # one person has that many templates
        return np.arange(len(self)), -np.inf

    def _compared(self, rows: NDArray[np.int64], embedding: NDArray[np.float32], k: int) -> tuple[Hit, ...]:
        """The exact search among some rows, ascending."""
        index = ExactIndex(self._embeddings[rows], self._person_ids[rows], self._scales[rows])
        return tuple(replace(hit, row=int(rows[hit.row])) for hit in index.search(embedding, k))
