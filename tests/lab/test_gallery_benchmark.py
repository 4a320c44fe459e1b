"""What the benchmark stores in Milvus is ranked as identify ranks."""

from __future__ import annotations

import numpy as np
import pytest

from facewire.server.comparison import nearness
from facewire.server.gallery.records import Templates
from lab.benchmarking.vectors import Crowd
from tests.support.milvus_server import need_milvus


def test_inner_products_and_distances_on_the_sphere_are_nearness() -> None:
    need_milvus()
    pytest.importorskip("pymilvus")
    from lab.benchmarking.indexes import _stored

    crowd = Crowd(400)
    embeddings = next(crowd.pictures())[1]
    scales = np.random.default_rng(1).uniform(0.05, 0.2, len(embeddings)).astype(np.float32)
    templates = Templates(embeddings, np.zeros(len(embeddings), np.int64), scales)
    for probe in crowd.probes(20):
        exact = nearness(embeddings @ probe, scales)
        asked = np.array([*(probe @ crowd.axes), -1, 0], np.float32)
        inner = _stored(templates, crowd.axes, sphere=False) @ asked[:-1]
        np.testing.assert_allclose(inner, exact, atol=2e-3)
        distances = np.linalg.norm(_stored(templates, crowd.axes, sphere=True) - asked, axis=1)
        assert np.argmin(distances) == np.argmax(exact)


def test_everybody_is_compared_however_few_are_taken_at_a_time() -> None:
    pytest.importorskip("pymilvus")
    from lab.benchmarking.gallery import exact_nearness

    crowd = Crowd(400)
    owners, embeddings = next(crowd.pictures())
    scales = np.random.default_rng(1).uniform(0.05, 0.2, len(embeddings)).astype(np.float32)
    templates, probes = Templates(embeddings, owners, scales), crowd.probes(5)
    people, near = exact_nearness(templates, probes)
    assert people.tolist() == sorted(set(owners.tolist()))
    for person, ours in zip(people, near.T, strict=True):
        theirs = embeddings[owners == person]
        best = nearness(theirs @ probes.T, scales[owners == person][:, None]).max(axis=0)
        if len(theirs) > 1:
            mean = theirs.mean(axis=0) / np.linalg.norm(theirs.mean(axis=0))
            best = np.maximum(best, nearness(probes @ mean, scales[owners == person].mean()))
        np.testing.assert_allclose(ours, best, atol=1e-4)
    for together in (1, 7):
        np.testing.assert_allclose(exact_nearness(templates, probes, together)[1], near, atol=1e-5)
