"""Compares many embeddings at a time as the server does: with the gallery's cohort and the server's decider."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facewire.server.comparison import normalised, normalised_matrix
from facewire.server.gallery.search.cohort import DEFAULT_PATH, Cohort, measure_by
from facewire.server.recognition.decision import Decider
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision.runtime import Floats


class Scorer:
    """Scores embeddings of one spec. Without a cohort, scores are raw similarities."""

    def __init__(self, spec: EmbeddingSpec, fpir: float = 0.01) -> None:
        cohort = Cohort.load(DEFAULT_PATH, spec)
        self.normalised = cohort is not None
        self.scales = measure_by(cohort)
        self._spec = spec
        self.decider = self.decider_at(fpir)

    def decider_at(self, fpir: float) -> Decider:
        """The server's decider at this rate."""
        return Decider(self._spec, fpir, normalised=self.normalised)

    def matrix(self, ones: Floats, others: Floats) -> NDArray[np.float32]:
        """(n, m) scores of (n, d) and (m, d) embeddings, on the decider's scale."""
        return normalised_matrix(ones, others, self.scales(ones), self.scales(others))

    def people(self, probes: Floats, templates: Floats, owners: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, p) scores of (n, d) probes and p people with (m, d) templates: by a person's best template, or the mean
        of several if that is nearer, as in the gallery's search. `owners`: (m,) each template's person, 0 to p - 1,
        none missing."""
        order = np.argsort(owners, kind="stable")
        templates, counts = templates[order], np.bincount(owners)
        starts = np.cumsum(counts) - counts
        scores = np.maximum.reduceat(self.matrix(probes, templates), starts, axis=1)
        several = np.flatnonzero(counts > 1)
        if len(several):
            sums = np.add.reduceat(templates, starts, axis=0)[several]
            means = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
            scales = (np.add.reduceat(self.scales(templates), starts) / counts)[several]
            by_means = normalised_matrix(probes, means, self.scales(probes), scales)
            scores[:, several] = np.maximum(scores[:, several], by_means)
        return np.asarray(scores, np.float32)

    def pairs(self, ones: Floats, others: Floats) -> NDArray[np.float64]:
        """(n,) scores of the rows of (n, d) and (n, d) embeddings, in double precision as `verify` computes them."""
        similarities = np.einsum("nd,nd->n", ones.astype(np.float64), others.astype(np.float64))
        return np.asarray(normalised(similarities, self.scales(ones) * self.scales(others)), np.float64)
