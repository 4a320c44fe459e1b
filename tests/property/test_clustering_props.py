"""What clustering keeps whatever it is given, and that its sums are what looking at every pair finds."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facewire.server.albums.clustering import cluster, suggestions
from facewire.server.albums.clustering.agglomeration import agglomerate
from facewire.server.albums.clustering.clusters import Clusters
from facewire.server.albums.clustering.evidence import PER_SHARED_PHOTO, counting, evidence_asked
from facewire.server.albums.clustering.evidence import evidence as evidence_of
from facewire.server.albums.clustering.normalisation import FITTED, USUAL_DEVIATION, USUAL_MEAN, weights
from facewire.server.gallery.search.cohort import Statistics
from tests.support.people import FewStrangers, Floats, crowd

Indices = NDArray[np.int64]
Yardstick = FewStrangers | None
COHORTS: list[Yardstick] = [None, FewStrangers()]


@dataclass(frozen=True)
class Album:
    embeddings: Floats
    photos: Indices
    settled: Indices
    fixed: NDArray[np.bool_]
    different: list[tuple[int, int]]


@st.composite
def albums(draw: st.DrawFn, *, settled: bool = True) -> Album:
    faces = draw(st.integers(0, 24))
    numbers = st.lists(st.integers(0, 5), min_size=faces, max_size=faces)
    people = np.array(draw(numbers), np.int64)
    embeddings = crowd(people, draw(st.integers(0, 1000)), draw(st.sampled_from([0.5, 0.7, 0.9])))
    photos = np.array(draw(st.lists(st.integers(0, 40), min_size=faces, max_size=faces)), np.int64)
    before = np.array(draw(numbers), np.int64) * 7 - 7 * draw(st.integers(0, 3))
    before = np.where((before < 0) | (not settled), -1, before)
    fixed = np.array(draw(st.lists(st.booleans(), min_size=faces, max_size=faces)), np.bool_) & (before >= 0)
    pairs = draw(st.lists(st.tuples(st.integers(0, 23), st.integers(0, 23)), max_size=6))
    different = [
        (one, other)
        for one, other in pairs
        if one < other < faces and not (fixed[one] and fixed[other] and before[one] == before[other])
    ]
    return Album(embeddings, photos, before, fixed, different)


def measured(embeddings: Floats, cohort: Yardstick) -> Statistics | None:
    return None if cohort is None else Statistics(*cohort.statistics(embeddings))


def clustered(album: Album, cohort: Yardstick) -> Indices:
    return cluster(
        album.embeddings, album.photos, album.settled, album.fixed, album.different, measured(album.embeddings, cohort)
    )


def partition(labels: Indices) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


@settings(max_examples=150, deadline=None)
@given(albums(), st.sampled_from(COHORTS))
def test_what_a_user_said_holds(album: Album, cohort: Yardstick) -> None:
    labels = clustered(album, cohort)
    assert labels.shape == album.settled.shape and (labels >= 0).all()
    assert (labels[album.fixed] == album.settled[album.fixed]).all()
    assert all(labels[one] != labels[other] for one, other in album.different)
    for suggestion in suggestions(
        album.embeddings, labels, album.photos, album.different, measured(album.embeddings, cohort)
    ):
        first, second = (np.flatnonzero(labels == number) for number in suggestion[:2])
        assert len(first) and len(second) and suggestion.first != suggestion.second
        assert suggestion.faces == min(len(first), len(second))
        assert np.isfinite(suggestion.similarity)
        assert not any(
            {labels[one], labels[other]} == {suggestion.first, suggestion.second} for one, other in album.different
        )


@settings(max_examples=100, deadline=None)
@given(albums(), st.sampled_from(COHORTS))
def test_faces_settled_together_stay_together_and_keep_a_number(album: Album, cohort: Yardstick) -> None:
    labels = clustered(album, cohort)
    taken_out = {face for pair in album.different for face in pair}
    for number in np.unique(album.settled[album.settled >= 0]):
        kept = [face for face in np.flatnonzero(album.settled == number).tolist() if face not in taken_out]
        assert len({int(labels[face]) for face in kept}) <= 1
    for number in np.unique(labels):
        before = set(album.settled[labels == number].tolist()) - {-1}
        if not before:
            assert number > album.settled.max(initial=-1)
        elif number > album.settled.max(initial=-1):
            # All its old numbers went to other clusters: it broke away.
            assert before <= set(labels.tolist())


@settings(max_examples=100, deadline=None)
@given(albums(), st.sampled_from(COHORTS))
def test_clustering_the_result_again_changes_nothing(album: Album, cohort: Yardstick) -> None:
    labels = clustered(album, cohort)
    again = cluster(
        album.embeddings, album.photos, labels, album.fixed, album.different, measured(album.embeddings, cohort)
    )
    assert again.tolist() == labels.tolist()


@settings(max_examples=100, deadline=None)
@given(albums(settled=False), st.randoms(use_true_random=False), st.sampled_from(COHORTS))
def test_the_order_of_the_faces_does_not_matter(album: Album, shuffler: Random, cohort: Yardstick) -> None:
    faces = len(album.photos)
    order = list(range(faces))
    shuffler.shuffle(order)
    place = np.argsort(np.array(order, np.int64))
    shuffled = cluster(
        album.embeddings[order],
        album.photos[order],
        album.settled[order],
        album.fixed[order],
        [(int(place[one]), int(place[other])) for one, other in album.different],
        measured(album.embeddings[order], cohort),
    )
    assert partition(shuffled[place]) == partition(clustered(album, cohort))


def every_pair(embeddings: Floats, cohort: Yardstick) -> NDArray[np.float64]:
    """Half normalised similarities as the formula in normalisation.py has them, 1 for a face and itself."""
    found = embeddings.astype(np.float64) @ embeddings.T.astype(np.float64)
    if cohort is not None:
        mean, deviation = (np.asarray(each, np.float64) for each in cohort.statistics(embeddings))
        scale = (USUAL_DEVIATION / np.maximum(deviation, USUAL_DEVIATION / 4)) ** 0.25
        shift = (mean - USUAL_MEAN) / 4
        found = USUAL_MEAN + scale[:, None] * scale * (found - USUAL_MEAN - shift[:, None] - shift)
    np.fill_diagonal(found, 1.0)
    return found


def model_likelihood(similarities: NDArray[np.float64], clarity: NDArray[np.float64], faces: list[int]) -> float:
    """The two-covariance model by its definition: the density of these faces' coordinates in one direction, of which
    the similarities are the outer products; what does not depend on the division is left out. Of a face's length,
    `clarity` of what a clear one shows is its person's, the rest noise."""
    between, shown = 1.5 / 2.5, clarity[faces]
    noise = 1 - between * shown**2
    covariance = np.diag(noise) + between * np.outer(shown, shown)
    precision = np.linalg.inv(covariance) - np.diag(1 / noise)
    chosen = similarities[np.ix_(faces, faces)]
    alone = np.log(noise).sum()
    return float(alone - np.linalg.slogdet(covariance)[1] - np.sum(precision * chosen)) / 2


@settings(max_examples=60, deadline=None)
@given(albums(settled=False), st.sampled_from(COHORTS), st.lists(st.sampled_from([1.0, 0.6, 0.3]), min_size=24))
def test_sums_are_what_all_pairs_say(album: Album, cohort: Yardstick, clarities: list[float]) -> None:
    faces = len(album.photos)
    clarity = np.array(clarities[:faces])
    amount, precision = counting(clarity)
    if faces < 4:
        return
    member_of = np.arange(faces) % 3
    clusters = Clusters(
        album.embeddings,
        weights(len(album.embeddings), measured(album.embeddings, cohort), FITTED, clarity),
        album.photos,
        member_of,
        np.zeros(3, np.bool_),
        np.zeros((0, 2), np.int64),
    )
    similarities = every_pair(album.embeddings, cohort)

    def expected(one: list[int], other: list[int]) -> tuple[float, float]:
        mean = np.average(similarities[np.ix_(one, other)], weights=np.outer(amount[one], amount[other]))
        shared = len({album.photos[face] for face in one} & {album.photos[face] for face in other})
        of_all = model_likelihood(similarities, clarity, one + other)
        of_all -= model_likelihood(similarities, clarity, one) + model_likelihood(similarities, clarity, other)
        # Each side as one face, and no clearer than one.
        counts = [np.minimum(precision[side].sum(keepdims=True), 1) for side in (one, other)]
        amounts = [np.minimum(amount[side].sum(keepdims=True), 1) for side in (one, other)]
        totals = amounts[0] ** 2, amounts[1] ** 2
        of_two = float(evidence_of((counts[0], counts[1]), totals, amounts[0] * amounts[1] * mean)[0])
        return float(mean), max(of_all, of_two) - PER_SHARED_PHOTO * shared

    def hold(one: int, other: int) -> None:
        members = [np.flatnonzero(clusters.member_of == each).tolist() for each in (one, other)]
        mean, evidence = expected(*members)
        ends = np.array([one]), np.array([other])
        assert clusters.similarity(*ends)[0] == pytest.approx(mean, abs=1e-5)
        assert clusters.evidence(*ends)[0] == pytest.approx(evidence, abs=1e-4)

    hold(0, 1)
    hold(1, 2)
    clusters.join(np.array([0]), np.array([1]))
    hold(0, 2)


@settings(max_examples=60, deadline=None)
@given(albums(settled=False), st.sampled_from(COHORTS))
def test_nothing_is_left_that_should_be_joined(album: Album, cohort: Yardstick) -> None:
    """By comparing all clusters with each other, where the search for candidates looks at the nearest only."""
    faces = len(album.photos)
    clusters = Clusters(
        album.embeddings,
        weights(faces, measured(album.embeddings, cohort), FITTED),
        album.photos,
        np.arange(faces),
        np.zeros(faces, np.bool_),
        np.array(album.different, np.int64).reshape(-1, 2),
    )
    agglomerate(clusters, np.arange(faces))
    left = np.flatnonzero(clusters.alive)
    first, second = left[np.stack(np.triu_indices(len(left), 1))]
    assert (clusters.evidence(first, second) < evidence_asked(len(left)) + 1e-9).all()
