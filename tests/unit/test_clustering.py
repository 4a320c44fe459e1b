"""Clustering as a user meets it: who comes together, what is kept, what is asked; and the sizes where code changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.server.albums.clustering import cluster, neighbours, scale_of, suggestions
from facewire.server.albums.clustering.company import in_company
from facewire.server.albums.clustering.evidence import MIDDLE, SPREAD, similarity_asked, strangers_exceed
from facewire.server.albums.clustering.normalisation import FITTED, USUAL_DEVIATION, USUAL_MEAN, face_by_face, weights
from facewire.server.recognition.impostors import impostor_prior
from lab.evaluation.clusters import bcubed, pairwise
from tests.support.people import Floats, crowd, unit

Indices = NDArray[np.int64]


def fresh(
    embeddings: Floats, photos: Indices | None = None, different: Sequence[tuple[int, int]] = (), **rest: Any
) -> Indices:
    count = len(embeddings)
    where = np.arange(count) if photos is None else photos
    return cluster(embeddings, where, np.full(count, -1), np.zeros(count, np.bool_), different, **rest)


def average_linkage(embeddings: Floats, threshold: float) -> Indices:
    """The field's usual way, one pair after the other over the whole matrix."""
    groups = [[face] for face in range(len(embeddings))]
    similarities = embeddings @ embeddings.T
    while len(groups) > 1:
        means = {
            (one, other): similarities[np.ix_(groups[one], groups[other])].mean()
            for one in range(len(groups))
            for other in range(one)
        }
        best = max(means, key=lambda pair: means[pair])
        if means[best] < threshold:
            break
        groups[best[1]] += groups.pop(best[0])
    labels = np.zeros(len(embeddings), np.int64)
    for number, group in enumerate(groups):
        labels[group] = number
    return labels


def test_people_who_are_far_apart_are_found_as_average_linkage_finds_them() -> None:
    people = np.repeat(np.arange(12), np.arange(12) % 5 + 1)
    embeddings = crowd(people, 3, alike=0.85, dimension=200)
    labels = fresh(embeddings)
    assert bcubed(labels, people) == (1.0, 1.0)
    assert bcubed(labels, average_linkage(embeddings, 0.65)) == (1.0, 1.0)


def test_nothing_and_one() -> None:
    nobody = np.zeros((0, 8), np.float32)
    assert fresh(nobody).tolist() == []
    assert suggestions(nobody, np.zeros(0, np.int64), np.zeros(0, np.int64), ()) == []
    assert fresh(unit(np.ones((1, 8)))).tolist() == [0]
    assert suggestions(unit(np.ones((1, 8))), np.zeros(1, np.int64), np.zeros(1, np.int64), ()) == []


def test_the_same_face_many_times_is_one_person() -> None:
    same = np.repeat(unit(np.random.default_rng(0).standard_normal((2, 32))), 60, axis=0)
    assert len(set(fresh(same).tolist())) == 2


def test_a_person_with_more_pictures_than_neighbours_are_asked_for_is_one() -> None:
    people = np.repeat(np.arange(3), 150)
    assert bcubed(fresh(crowd(people, 1, alike=0.8)), people) == (1.0, 1.0)


def test_faces_of_one_photograph_need_to_be_more_alike() -> None:
    one = np.zeros(64)
    one[0] = 1.0

    def pair(similarity: float) -> Floats:
        other = np.zeros(64)
        other[:2] = similarity, np.sqrt(1 - similarity**2)
        return unit(np.stack([one, other]))

    together, apart = np.zeros(2, np.int64), np.arange(2)
    assert len(set(fresh(pair(0.62), apart).tolist())) == 1
    assert len(set(fresh(pair(0.62), together).tolist())) == 2
    # A collage: softly means that the same picture of a face is the same person all the same.
    assert len(set(fresh(pair(0.97), together).tolist())) == 1


def test_poor_faces_bring_nobody_together_and_join_who_is_certain() -> None:
    pair = crowd(np.zeros(2, np.int64), 3, alike=0.95)
    assert len(set(fresh(pair).tolist())) == 1
    assert len(set(fresh(pair, clarity=np.full(2, 0.4)).tolist())) == 2
    # One poor face among many clear ones of its person, and of others.
    people = np.repeat(np.arange(6), 8)
    clarity = np.where(np.arange(48) % 8 == 0, 0.5, 1.0)
    assert bcubed(fresh(crowd(people, 1, alike=0.85), clarity=clarity), people) == (1.0, 1.0)


def turned_once() -> Floats:
    """A person's five clear faces, two that are turned, and a third one turned like those, far from the five."""
    clear, turned, alone = np.zeros((5, 64)), np.zeros((2, 64)), np.zeros((1, 64))
    clear[:, 0], clear[np.arange(5), np.arange(5) + 3] = 0.95, np.sqrt(1 - 0.95**2)
    turned[:, 0], turned[:, 1], turned[[0, 1], [8, 9]] = 0.75, 0.61, 0.25
    alone[0, 0], alone[0, 1], alone[0, 2] = 0.36, 0.6, 0.71
    return unit(np.concatenate([clear, turned, alone]))


def test_a_latecomer_joins_those_of_a_persons_faces_that_were_taken_like_it() -> None:
    embeddings = turned_once()
    alone = embeddings[7] @ embeddings[:7].T
    assert alone[:5].max() < 0.4 and alone[5:].min() > similarity_asked(2)
    assert len(set(fresh(embeddings).tolist())) == 1
    without_turned = fresh(embeddings[[0, 1, 2, 3, 4, 5, 7]])  # one face could be somebody else's
    assert len(set(without_turned.tolist())) == 2
    seen_together = np.array([0, 1, 2, 3, 4, 5, 6, 0])
    assert len(set(fresh(embeddings, seen_together).tolist())) == 2
    assert len(set(fresh(embeddings, different=[(2, 7)]).tolist())) == 2


def test_a_face_that_was_alone_joins_when_its_person_has_grown() -> None:
    embeddings = turned_once()
    settled, fixed = np.array([4, 4, 4, 4, 4, 4, -1, 9]), np.zeros(8, np.bool_)
    assert set(cluster(embeddings, np.arange(8), settled, fixed, ()).tolist()) == {4}
    fixed[[0, 7]] = True  # but not if a user has placed it
    assert cluster(embeddings, np.arange(8), settled, fixed, ()).tolist() == [4] * 7 + [9]


def class_of(children: int, alike: float) -> tuple[Floats, Indices]:
    """A face of each of some children, all somewhat alike, four to a photograph."""
    own = crowd(np.arange(children), 2, alike=1.0, dimension=200)
    common = np.zeros(200)
    common[0] = 1.0
    return unit(np.sqrt(1 - alike) * own + np.sqrt(alike) * common), np.arange(children) // 4


def test_strangers_who_are_alike_in_photographs_are_alike_beyond() -> None:
    embeddings, photos = class_of(240, 0.2)
    # Two children who are never seen together: 0.66, which is enough among usual strangers.
    twins = np.array([0, 239])
    beside = unit(embeddings[239] - (embeddings[239] @ embeddings[0]) * embeddings[0])
    embeddings[239] = 0.66 * embeddings[0] + np.sqrt(1 - 0.66**2) * beside
    elsewhere = fresh(embeddings, np.arange(240))[twins]
    assert elsewhere[0] == elsewhere[1]
    together = fresh(embeddings, photos)[twins]
    assert together[0] != together[1]


def test_two_people_who_are_always_together_say_nothing_about_others() -> None:
    embeddings, photos = class_of(8, 0.0)
    # Two photographs of four strangers each, and two brothers in a hundred.
    brother = crowd(np.repeat(np.arange(2), 100), 4, alike=0.9, dimension=200)
    brother = unit(brother + 0.9 * embeddings[0])
    everybody = np.concatenate([embeddings, brother])
    plain = weights(208, None, FITTED)
    seen = in_company(everybody, plain, np.concatenate([photos, 2 + np.arange(200) % 100]))
    some = np.arange(8)
    assert float((brother[:100] @ brother[100:].T).mean()) > 0.4
    assert np.abs(face_by_face(everybody, seen, some, some) - face_by_face(everybody, plain, some, some)).max() < 0.02


def test_more_clusters_ask_for_more() -> None:
    asked = [similarity_asked(clusters) for clusters in (1, 2, 30, 100, 1000, 10_000, 100_000)]
    assert asked == sorted(asked)
    assert asked[0] == asked[2] == pytest.approx(MIDDLE + 3.432 * SPREAD, abs=1e-3)
    assert 0.65 < similarity_asked(1500) < 0.75


class Crowded:
    """A cohort with many near the first coordinate and none elsewhere."""

    def statistics(self, embeddings: Floats) -> tuple[Floats, Floats]:
        mean = np.where(embeddings[:, 0] > 0.5, USUAL_MEAN + 0.25, USUAL_MEAN)
        return mean.astype(np.float32), np.full(len(embeddings), USUAL_DEVIATION, np.float32)


def test_faces_that_resemble_many_strangers_are_not_thrown_together() -> None:
    crowded = np.zeros((12, 64))
    crowded[:, 0] = np.sqrt(0.62)
    crowded[np.arange(12), np.arange(12) + 1] = np.sqrt(0.38)
    assert len(set(fresh(unit(crowded)).tolist())) == 1
    assert len(set(fresh(unit(crowded), statistics=Crowded().statistics(unit(crowded))).tolist())) == 12
    # Two alike faces that resemble few strangers are one person by the same cohort.
    usual = np.roll(crowded, 32, axis=1)
    assert len(set(fresh(unit(usual), statistics=Crowded().statistics(unit(usual))).tolist())) == 1


def test_a_new_face_joins_and_nothing_else_moves() -> None:
    people = np.repeat(np.arange(6), 5)
    embeddings = crowd(people, 7, dimension=200)
    settled = people * 10
    settled[[4, 9]] = -1
    labels = cluster(embeddings, np.arange(30), settled, np.zeros(30, np.bool_), ())
    assert labels.tolist() == (people * 10).tolist()


def test_a_settled_error_of_the_user_stays_and_fixed_clusters_are_not_joined() -> None:
    people = np.repeat(np.arange(2), 6)
    embeddings = crowd(people, 5, dimension=200)
    settled = np.array([3, 3, 3, 8, 8, -1, 5, 5, 5, 5, 5, 3])  # one person in 3 and 8; the last face misplaced in 3
    fixed = np.zeros(12, np.bool_)
    fixed[[0, 3, 11]] = True
    labels = cluster(embeddings, np.arange(12), settled, fixed, ())
    assert labels[[0, 1, 2, 11]].tolist() == [3, 3, 3, 3]
    assert labels[[3, 4]].tolist() == [8, 8]
    assert labels[5] in (3, 8)


def test_joined_clusters_keep_the_number_that_a_user_gave_else_the_larger_ones() -> None:
    embeddings = crowd(np.zeros(8, np.int64), 2, dimension=200)
    settled = np.array([4, 4, 9, 9, 9, 9, 9, -1])
    nothing, first = np.zeros(8, np.bool_), np.arange(8) == 0
    assert set(cluster(embeddings, np.arange(8), settled, nothing, ()).tolist()) == {9}
    assert set(cluster(embeddings, np.arange(8), settled, first, ()).tolist()) == {4}


def test_not_this_person_takes_the_face_out_and_keeps_it_out() -> None:
    embeddings = crowd(np.zeros(6, np.int64), 2, dimension=200)
    fixed = np.arange(6) < 2
    labels = cluster(embeddings, np.arange(6), np.full(6, 4), fixed, [(5, 0)])
    assert labels.tolist() == [4, 4, 4, 4, 4, 5]
    again = cluster(embeddings, np.arange(6), labels, fixed, [(5, 0)])
    assert again.tolist() == labels.tolist()


def test_what_contradicts_itself_is_refused() -> None:
    embeddings = crowd(np.zeros(2, np.int64), 2)
    fixed = np.ones(2, np.bool_)
    with pytest.raises(ValueError, match="in no cluster"):
        cluster(embeddings, np.arange(2), np.array([0, -1]), fixed, ())
    with pytest.raises(ValueError, match="different people"):
        cluster(embeddings, np.arange(2), np.array([0, 0]), fixed, [(0, 1)])


def test_the_join_that_settles_most_is_suggested_first() -> None:
    people = np.repeat(np.arange(4), 10)
    embeddings = crowd(people, 11, dimension=200)
    labels = people * 2
    labels[[5, 6, 7, 8, 9]] = 1  # half of the first person
    labels[19] = 3  # one face of the second
    found = suggestions(embeddings, labels, np.arange(40), ())
    assert [({each.first, each.second}, each.faces) for each in found[:2]] == [({0, 1}, 5), ({2, 3}, 1)]
    assert found[0].similarity == pytest.approx(0.8, abs=0.1)
    assert len(found) == 2
    assert len(suggestions(embeddings, labels, np.arange(40), (), limit=1)) == 1
    assert [each.faces for each in suggestions(embeddings, labels, np.arange(40), [(0, 5)])] == [1]


def test_provisional_clusters_are_taken_apart_again() -> None:
    people = np.repeat(np.arange(2), 10)
    embeddings = crowd(people, 11, dimension=200)
    joined, nobody, all_ = np.full(20, 7), np.zeros(20, np.bool_), np.ones(20, np.bool_)
    assert cluster(embeddings, np.arange(20), joined, nobody, ()).tolist() == joined.tolist()
    labels = cluster(embeddings, np.arange(20), joined, nobody, (), loose=all_)
    assert bcubed(labels, people) == (1.0, 1.0)
    assert set(labels.tolist()) == {7, 8}
    named = np.arange(20) == 15  # a face that somebody placed there
    labels = cluster(embeddings, np.arange(20), joined, named, (), loose=all_)
    assert labels[15] == 7
    assert bcubed(labels, people) == (1.0, 1.0)


def test_a_single_poor_face_is_asked_about_last() -> None:
    people = np.repeat(np.arange(3), 10)
    embeddings = crowd(people, 11, dimension=200)
    labels = people * 2
    labels[[5, 15, 16]] = 1, 3, 3
    alone, poor = {0, 1}, np.arange(30) == 5
    asked = [({each.first, each.second}, each.poor) for each in suggestions(embeddings, labels, np.arange(30), ())]
    assert asked[0] == ({2, 3}, False)
    late = suggestions(embeddings, labels, np.arange(30), (), poor=poor)
    assert [({each.first, each.second}, each.poor) for each in late] == [*asked[:-1], (alone, True)]
    assert not any(each.poor for each in suggestions(embeddings, labels, np.arange(30), (), poor=np.arange(30) == 15))


def like_another_models(embeddings: Floats, alike: float) -> Floats:
    """Every similarity s becomes alike + (1 - alike) s: all faces have much in common, as dlib's do."""
    common = np.full((len(embeddings), 1), np.sqrt(alike))
    return unit(np.hstack([common, np.sqrt(1 - alike) * embeddings]))


def test_another_model_is_cut_by_its_own_strangers() -> None:
    people = np.random.default_rng(1).integers(0, 60, 240)
    embeddings = crowd(people, 1, dimension=200)
    crowded = like_another_models(embeddings, 0.84)
    assert len(set(fresh(crowded).tolist())) == 1  # as Facenet512's they would all be one person
    scale = scale_of(lambda rate: 0.84 + 0.16 * strangers_exceed(rate))
    labels = fresh(crowded, scale=scale)
    assert labels.tolist() == fresh(embeddings).tolist()
    assert bcubed(labels, people) == (1.0, 1.0)
    asked = suggestions(crowded, people, np.arange(240), (), scale=scale)
    assert asked == pytest.approx(suggestions(embeddings, people, np.arange(240), ()), abs=1e-4)


def test_facenets_own_scale_is_as_it_is() -> None:
    scale = scale_of(strangers_exceed)
    assert (scale.slope, scale.offset) == pytest.approx((1.0, 0.0), abs=1e-9)


@pytest.mark.parametrize(
    "model", ["Facenet512", "Dlib", "Facenet", "VGG-Face", "OpenFace", "ArcFace", "SFace", "Buffalo_L"]
)
def test_no_model_takes_strangers_for_one_person(model: str) -> None:
    """Two faces are joined, among a hundred, only above what the model's prior says of once in a thousand strangers."""
    prior = impostor_prior(model)
    scale = scale_of(prior.similarity_at)
    asked = (similarity_asked(100) - scale.offset) / scale.slope
    assert prior.similarity_at(1e-3) < asked < 1


@pytest.mark.parametrize(("clusters", "count"), [(1, 1), (40, 33), (2048, 33), (5000, 33), (5003, 1), (33, 33)])
def test_the_nearest_of_many_are_those_of_a_full_sort(clusters: int, count: int) -> None:
    products = np.random.default_rng(clusters).integers(-500, 500, (7, clusters)).astype(np.float32)  # with ties
    found = neighbours._largest(products, count)
    assert all(len(set(row)) == count for row in found.tolist())
    assert np.array_equal(
        np.sort(np.take_along_axis(products, found, axis=1), axis=1), np.sort(products, axis=1)[:, -count:]
    )


def test_bcubed_and_pairwise_by_their_definitions() -> None:
    choice = np.random.default_rng(6)
    found, people = choice.integers(0, 9, 60), choice.integers(0, 12, 60)
    cluster_of = [set(np.flatnonzero(found == label).tolist()) for label in found]
    person_of = [set(np.flatnonzero(people == label).tolist()) for label in people]
    shared = [len(one & other) for one, other in zip(cluster_of, person_of, strict=True)]
    precision, recall = bcubed(found, people)
    assert precision == pytest.approx(np.mean([n / len(one) for n, one in zip(shared, cluster_of, strict=True)]))
    assert recall == pytest.approx(np.mean([n / len(one) for n, one in zip(shared, person_of, strict=True)]))
    pairs = [(one, other) for one in range(60) for other in range(one)]
    joined = {pair for pair in pairs if found[pair[0]] == found[pair[1]]}
    same = {pair for pair in pairs if people[pair[0]] == people[pair[1]]}
    right = len(joined & same)
    assert pairwise(found, people) == pytest.approx((right / len(joined), right / len(same)))
    assert pairwise(np.arange(3), np.arange(3)) == (1.0, 1.0)
