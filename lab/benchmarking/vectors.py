"""Galleries of synthetic embeddings, distributed like Facenet512's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewire.server.gallery.records import NewPicture, NewTemplate
from facewire.server.gallery.search.cohort import DEFAULT_PATH, members_of, spanned
from facewire.server.maintenance.build.staging import Staging
from facewire.server.spec import EmbeddingSpec
from lab.benchmarking.bench import say

PICTURES_A_PERSON = 2.35  # LFW's
NOISE = 0.62  # gives cosines of 0.72 between pictures of a person, like FaceNet on LFW
OUTSIDE = 0.005  # length outside the subspace of FaceNet's embeddings, as on LFW
CHUNK = 10_000


class Crowd:
    """Synthetic people with a fixed seed; their `templates` can be drawn repeatedly. `axes`: (d, r), orthonormal, the
    directions that Facenet512's embeddings lie in."""

    def __init__(self, templates: int, pictures_a_person: float = PICTURES_A_PERSON, seed: int = 5) -> None:
        self.templates = templates
        self.people = max(1, round(templates / pictures_a_person))
        self._seed = seed
        with np.load(DEFAULT_PATH, allow_pickle=False) as stored:
            axes, members = spanned(members_of(stored))
            counts, ranks = stored["members"].astype(np.int64), stored["ranks"]
        # People and pictures are drawn with the mean and spread of the cohort's adults, every kind alike. The cohort
        # has many children, who are fitted by Gaussians of fewer directions and lie close to each other.
        weights = np.repeat((ranks == ranks.max()) / counts, counts)
        self._mean = np.average(members, axis=0, weights=weights).astype(np.float32)
        self._factor = np.linalg.cholesky(np.cov(members.T, aweights=weights)).T.astype(np.float32)
        self.axes = axes
        rng = np.random.default_rng(seed)
        self._centres = np.concatenate([self._drawn(rng, count) for count in _counts(self.people)])

    @property
    def digest(self) -> str:
        """Of what the people are drawn from; it changes with the cohort."""
        return hashlib.sha256(self._mean.tobytes() + self._factor.tobytes()).hexdigest()[:8]

    def pictures(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """All templates in chunks: (m,) person of each, and (m, d) unit vectors."""
        rng = np.random.default_rng(self._seed + 1)
        for count in _counts(self.templates):
            owners = rng.integers(0, self.people, count)
            yield owners, self._seen(rng, owners)

    def probes(self, count: int) -> NDArray[np.float32]:
        """(count, d) further pictures of the same people."""
        rng = np.random.default_rng(self._seed + 2)
        return self._seen(rng, rng.integers(0, self.people, count))

    def strangers(self, count: int) -> NDArray[np.float32]:
        """(count, d) pictures of other people, one each."""
        rng = np.random.default_rng(self._seed + 3)
        return self._embedded(rng, self._drawn(rng, count))

    def _drawn(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        return _units(self._mean + self._noise(rng, count))

    def _seen(self, rng: np.random.Generator, owners: NDArray[np.int64]) -> NDArray[np.float32]:
        noise = _units(self._noise(rng, len(owners)))
        return self._embedded(rng, _units(self._centres[owners] + np.float32(NOISE) * noise))

    def _noise(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        return rng.standard_normal((count, len(self._factor)), np.float32) @ self._factor

    def _embedded(self, rng: np.random.Generator, inside: NDArray[np.float32]) -> NDArray[np.float32]:
        outside = _units(rng.standard_normal((len(inside), len(self.axes)), np.float32))
        return _units(inside @ self.axes.T + np.float32(OUTSIDE) * outside)


def crowd_database(folder: Path, crowd: Crowd, spec: EmbeddingSpec) -> Path:
    """A gallery of the crowd, kept in `folder`; built atomically if missing."""
    path = folder / f"crowd-{crowd.templates}-of-{crowd.people}-{crowd.digest}-{spec.fingerprint}.db"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    staging = Staging(path, spec)
    done = 0
    try:
        for owners, embeddings in crowd.pictures():
            names = [f"person {owner}" for owner in owners.tolist()]
            pictures = [_picture(done + number, embedding) for number, embedding in enumerate(embeddings)]
            staging.add(list(zip(names, pictures, strict=True)))
            done += len(names)
            say(f"writing a gallery of {crowd.templates:,} templates once: {done:,}")
        staging.move()
    finally:
        staging.discard()
    return path


def _picture(number: int, embedding: NDArray[np.float32]) -> NewPicture:
    template = NewTemplate(embedding, (0.0, 0.0, 1.0, 1.0), ((0.0, 0.0),) * 5, 1.0)
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return NewPicture(digest, 1, f"{number}.jpg", 1, 1, (template,))


def _counts(total: int) -> list[int]:
    return [min(CHUNK, total - done) for done in range(0, total, CHUNK)]


def _units(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
