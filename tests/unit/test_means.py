"""A person's mean direction counts as one more template: held to its definition, over everybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facewire.server.gallery.search.index import ExactIndex
from facewire.server.gallery.search.means import with_means
from facewire.server.gallery.sqlite import SqliteGallery
from lab.evaluation.scoring import Scorer
from tests.support.galleries import people_like, picture, random_units, spec, unit

DIMENSION = 32


def expected(
    vectors: NDArray[np.float32], owners: NDArray[np.int64], scales: NDArray[np.float32], probe: NDArray[np.float32]
) -> dict[int, tuple[float, float]]:
    """Similarity and nearness of everybody, slowly."""
    of_all = {}
    for person in np.unique(owners).tolist():
        mine = vectors[owners == person].astype(np.float64)
        ways = [(vector @ probe, scale) for vector, scale in zip(mine, scales[owners == person], strict=True)]
        if len(mine) > 1:
            ways.append(
                (mine.mean(axis=0) @ probe / np.linalg.norm(mine.mean(axis=0)), scales[owners == person].mean())
            )
        of_all[person] = max(
            ((float(cosine), float((cosine - 1) / scale)) for cosine, scale in ways), key=lambda way: way[1]
        )
    return of_all


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 60), st.integers(1, 5))
def test_similarity_and_nearness_are_by_the_better_of_templates_and_mean(
    seed: int, count: int, people: int, k: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors, owners = people_like(rng, people, count, DIMENSION)
    scales = (0.7 + 0.3 * rng.random(count)).astype(np.float32)
    probe = random_units(rng, 1, DIMENSION)[0]
    hits = ExactIndex(vectors, owners, scales).search(probe, k)
    right = expected(vectors, owners, scales, probe)
    found = with_means(vectors, scales, hits, [np.flatnonzero(owners == hit.person_id) for hit in hits], probe)
    assert {hit.person_id for hit in found} == {hit.person_id for hit in hits}
    assert {hit.row for hit in found} == {hit.row for hit in hits}, "the best template is still named"
    for hit in found:
        assert (hit.similarity, hit.nearness) == pytest.approx(right[hit.person_id], abs=1e-5)
        assert hit.nearness == pytest.approx((hit.similarity - 1) / hit.scale)
    assert [hit.nearness for hit in found] == sorted((hit.nearness for hit in found), reverse=True)


def test_templates_that_cancel_out_have_no_mean() -> None:
    vectors = np.stack([unit(1, 0), unit(-1, 0)])
    ones = np.ones(2, np.float32)
    hits = ExactIndex(vectors, np.array([7, 7]), ones).search(unit(0, 1), 1)
    assert with_means(vectors, ones, hits, [np.arange(2)], unit(0, 1)) == hits


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[SqliteGallery]:
    with SqliteGallery.create(tmp_path / "people.db", spec(2)) as created:
        yield created


def test_a_gallery_compares_with_the_mean_and_names_the_nearest_picture(gallery: SqliteGallery) -> None:
    with gallery:
        gallery.enrol("Ann", [picture("left", unit(1, 0.4)), picture("right", unit(1, -0.5))])
        gallery.enrol("Bob", [picture("bob", unit(1, 0.2))])
        probe = unit(1, 0)
        ann, bob = gallery.search(probe, 2)
        assert (ann.name, ann.image, bob.name) == ("Ann", "left", "Bob")
        assert ann.similarity > 0.998 > bob.similarity > float(unit(1, 0.4) @ probe)
        assert ann.distance == pytest.approx(np.sqrt(2 - 2 * ann.similarity), abs=1e-3)
        alone = gallery.search(probe, 2, means=False)
        assert [match.name for match in alone] == ["Bob", "Ann"]
        assert alone[1].similarity == pytest.approx(float(unit(1, 0.4) @ probe), abs=1e-6)


def test_a_probe_that_is_enrolled_is_found_as_itself(gallery: SqliteGallery) -> None:
    with gallery:
        gallery.enrol("Ann", [picture("left", unit(1, 0.4)), picture("right", unit(1, -0.5))])
        assert gallery.search(unit(1, 0.4), 1)[0].similarity == pytest.approx(1, abs=1e-6)


def test_evaluations_score_people_as_the_gallery_does(tmp_path: Path) -> None:
    """All people's means at once, where the search looks at those of the nearest."""
    vectors, owners = people_like(np.random.default_rng(5), 40, 120, DIMENSION)
    people, owners = np.unique(owners, return_inverse=True)
    probes, _ = people_like(np.random.default_rng(5), 40, 170, DIMENSION)
    scorer = Scorer(spec(DIMENSION, "Facenet"))
    scores = scorer.people(probes[120:], vectors, owners)
    with SqliteGallery.create(tmp_path / "people.db", spec(DIMENSION)) as gallery:
        for person in range(len(people)):
            mine = np.flatnonzero(owners == person)
            gallery.enrol(f"P{person}", [picture(str(number), vectors[number]) for number in mine])
        for probe, of_all in zip(probes[120:], scores, strict=True):
            best, second = gallery.search(probe, 2)
            assert best.name == f"P{of_all.argmax()}"
            assert (best.normalised, second.normalised) == pytest.approx(np.sort(of_all)[:-3:-1].tolist(), abs=1e-5)
