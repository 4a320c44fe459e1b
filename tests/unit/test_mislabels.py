"""Whose a new picture is: the fast ways against the obvious one, on crowds as near to each other as FaceNet's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facewire.server.gallery.records import Templates
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.recognition.mislabels import OthersFinder, elsewhere_among
from tests.support.galleries import picture, spec
from tests.support.people import DIRECTIONS, crowd

THRESHOLD = 0.55


def obvious(templates: Templates, row: int, threshold: float) -> tuple[int, bool] | None:
    """One pair after the other: (the nearest other template, whether it has others of its own)."""
    nearest, at, own, others = -np.inf, -1, [], 0
    for other in range(len(templates.person_ids)):
        similarity = float(templates.embeddings[row] @ templates.embeddings[other])
        scale = float(templates.scales[row] * templates.scales[other])
        normalised = 1 - (1 - similarity) / scale
        if other != row and templates.person_ids[other] == templates.person_ids[row]:
            own.append(normalised)
        elif templates.person_ids[other] != templates.person_ids[row]:
            others += 1
            if normalised > nearest:
                nearest, at = normalised, other
    if others and nearest >= threshold and not any(value >= threshold for value in own):
        return at, bool(own)
    return None


def some_templates(seed: int, count: int, wrong: int) -> Templates:
    """`count` templates of nine people, `wrong` of them under another name, with scales as a cohort's."""
    choice = np.random.default_rng(seed)
    people = choice.integers(0, 9, count)
    embeddings = crowd(people, seed)
    people[:wrong] = (people[:wrong] + 1) % 9
    return Templates(embeddings, people, choice.uniform(0.85, 1.0, count).astype(np.float32))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 40), wrong=st.integers(0, 5), work=st.integers(1, 200))
def test_many_at_once_find_what_the_obvious_way_finds(seed: int, count: int, wrong: int, work: int) -> None:
    templates = some_templates(seed, count, min(wrong, count))
    rows = np.arange(count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facewire.server.recognition.mislabels.WORK", work)  # in how many parts must not matter
        found = elsewhere_among(templates, [f"P{n}" for n in range(9)], rows, THRESHOLD)
    expected = {int(row): obvious(templates, int(row), THRESHOLD) for row in rows}
    assert {row: one[1] for row, one in expected.items() if one} == {
        row: one.own is not None for row, one in found.items()
    }
    for row, one in found.items():
        nearest = expected[row]
        assert nearest is not None
        assert one.name == f"P{templates.person_ids[nearest[0]]}"
        assert one.similarity >= one.threshold - 1e-6


def test_the_gallery_and_many_at_once_agree(tmp_path: Path) -> None:
    people = np.repeat(np.arange(12), 4)
    embeddings = crowd(people, 3)
    enrolled, fresh = np.arange(len(people)) % 4 < 3, np.arange(len(people)) % 4 == 3
    with SqliteGallery.create(tmp_path / "g.db", spec(DIRECTIONS)) as gallery:
        for person in range(12):
            rows = np.flatnonzero(enrolled & (people == person))
            gallery.enrol(f"P{person}", [picture(f"{row}", embeddings[row]) for row in rows])
        finder = OthersFinder(gallery, lambda: THRESHOLD)
        for row in np.flatnonzero(fresh):
            for name in range(12):  # once the right one
                found = finder.find(f"P{name}", embeddings[[row]])[0]
                whole = Templates(
                    np.concatenate([embeddings[enrolled], embeddings[[row]]]),
                    np.append(people[enrolled], name),
                    np.ones(enrolled.sum() + 1, np.float32),
                )
                last = np.array([len(whole.person_ids) - 1])
                oracle = elsewhere_among(whole, [f"P{n}" for n in range(12)], last, THRESHOLD).get(int(last[0]))
                assert (found is None) == (oracle is None)
                if found and oracle:
                    assert found.name == oracle.name
                    assert found.similarity == pytest.approx(oracle.similarity, abs=1e-5)
                    assert found.own == pytest.approx(oracle.own, abs=1e-5)


def test_twins_match_each_other_and_are_enrolled(tmp_path: Path) -> None:
    """What has its own match is never refused, however near somebody else is."""
    twins: NDArray[np.float32] = crowd(np.zeros(6, np.int64), 1, alike=0.9)
    with SqliteGallery.create(tmp_path / "g.db", spec(DIRECTIONS)) as gallery:
        gallery.enrol("Ann", [picture("a", twins[0])])
        gallery.enrol("Bea", [picture("b", twins[1])])
        finder = OthersFinder(gallery, lambda: THRESHOLD)
        assert finder.find("Ann", twins[2:4]) == finder.find("Bea", twins[4:]) == [None, None]


def test_pictures_of_one_request_speak_for_each_other(tmp_path: Path) -> None:
    people = np.array([0, 0, 0, 1, 1])
    faces = crowd(people, 5, alike=0.9)
    with SqliteGallery.create(tmp_path / "g.db", spec(DIRECTIONS)) as gallery:
        gallery.enrol("Bob", [picture("b", faces[3])])
        finder = OthersFinder(gallery, lambda: THRESHOLD)
        alone = finder.find("Ann", faces[4:])[0]
        assert alone is not None
        assert (alone.name, alone.own) == ("Bob", None)  # nobody knows Ann: a doubt
        found = finder.find("Ann", faces[[0, 1, 4, 2]])
        assert [one and one.name for one in found] == [None, None, "Bob", None]
        assert found[2] is not None
        assert found[2].own is not None
        assert found[2].own < THRESHOLD <= found[2].similarity
    assert finder.find("Ann", np.zeros((0, DIRECTIONS), np.float32)) == []
