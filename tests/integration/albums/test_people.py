"""Corrections, suggestions, and what goes between an album and the gallery."""

from __future__ import annotations

from pathlib import Path

import pytest

from facewire.client.album_client import AlbumClient
from facewire.protocol.errors import ErrorCode
from tests.support.pictures import opened, saved
from tests.support.synthetic_engine import draw, portrait, tiny
from tests.support.trip import ADA, BEN, LEFT, RIGHT, of, refused, templates_of


def test_corrections_are_undone_one_by_one(trip: AlbumClient) -> None:
    ada, ben = of(trip, ADA), of(trip, BEN)
    before = trip.people("Trip")
    trip.label("Trip", ada.person, "Ada")
    trip.merge("Trip", [ada.person, ben.person])
    assert trip.status("Trip").people == 1
    trip.hide("Trip", ada.person)
    assert trip.people("Trip").people == ()
    assert trip.people("Trip", hidden=True).people[0].faces == 7
    for _ in range(3):
        trip.undo("Trip")
    assert trip.people("Trip") == before
    assert [event.undone for event in trip.history("Trip").events] == [True] * 3
    with refused(ErrorCode.INVALID_REQUEST):
        trip.undo("Trip")


def test_not_this_person_is_remembered(trip: AlbumClient) -> None:
    ada = of(trip, ADA)
    wrong = trip.faces("Trip", person=ada.person).faces[-1].face
    trip.not_person("Trip", [wrong], ada.person)
    trip.add("Trip", "one more.png", portrait(ADA, shade=9))
    trip.process("Trip")
    faces = {face.face: face.person for face in trip.all_faces("Trip")}
    rest = {person for face, person in faces.items() if face != wrong}
    assert faces[wrong] not in {ada.person, None}
    assert ada.person in rest
    assert next(p for p in trip.all_people("Trip") if p.person == faces[wrong]).faces == 1


def test_a_face_is_moved_and_a_person_split(trip: AlbumClient) -> None:
    ada, ben = of(trip, ADA), of(trip, BEN)
    trip.label("Trip", ada.person, "Ada")
    face = trip.faces("Trip", person=ada.person).faces[0].face
    trip.move("Trip", [face], ben.person)
    assert next(p for p in trip.all_people("Trip") if p.person == ben.person).faces == 4
    changed = trip.split("Trip", ben.person, [face], "Ada's sister")
    assert ("Ada's sister", 1) in {(person.name, person.faces) for person in changed.people}
    trip.process("Trip")
    assert {p.name: p.faces for p in trip.all_people("Trip")} == {"Ada": 3, "Ada's sister": 1, None: 3}


def test_the_gallery_lends_names_and_takes_people(trip: AlbumClient) -> None:
    ada = of(trip, ADA)
    with refused(ErrorCode.INVALID_REQUEST):
        trip.enrol("Trip", ada.person)
    trip.label("Trip", ada.person, "Ada")
    assert trip.enrol("Trip", ada.person, 2).templates == 2
    trip.create("Later")
    trip.add("Later", "x.png", portrait(ADA))
    trip.process("Later")
    assert [match.name for match in trip.recognise("Later").matches] == ["Ada"]
    assert trip.status("Later").named == 0
    trip.recognise("Later", apply=True)
    assert [person.name for person in trip.all_people("Later")] == ["Ada"]
    trip.undo("Later")
    assert trip.status("Later").named == 0


def test_who_is_enrolled_passes_the_same_gate_as_everybody(albums: AlbumClient, tmp_path: Path) -> None:
    albums.create("Trip")
    albums.add("Trip", "near.png", portrait(ADA))
    albums.add("Trip", "far.png", tiny(ADA))
    albums.add("Trip", "both.png", draw((BEN, LEFT), (ADA, RIGHT)))
    albums.process("Trip")
    ada = of(albums, ADA)
    albums.label("Trip", ada.person, "Ada")
    enrolled = albums.enrol("Trip", ada.person)
    assert enrolled.templates == 2
    (left_out,) = enrolled.left_out
    assert (left_out.photo, left_out.reason) == ("far.png", "too_small")
    assert left_out.shortcomings[0].measured < left_out.shortcomings[0].limit
    assert {face.face for face in albums.all_faces("Trip") if face.person == ada.person} > {left_out.face}
    kept = templates_of("Ada", tmp_path)
    assert {one.image for one in kept} == {"near.png", "both.png"}
    assert all(one.crop for one in kept), "a crop is what is shown, and what another model embeds"
    again = albums.enrol("Trip", ada.person, accept=["too_small"])
    assert again.templates == 3
    assert {one.reason for one in again.left_out} == {"duplicate"}


def test_what_only_pillow_reads_is_enrolled_too(albums: AlbumClient, tmp_path: Path) -> None:
    albums.create("Trip")
    albums.add("Trip", "ada.heic", saved(opened(portrait(ADA)), "HEIF", quality=95))
    albums.add("Trip", "ada.png", portrait(ADA, shade=1))
    albums.process("Trip")
    ada = of(albums, ADA)
    albums.label("Trip", ada.person, "Ada")
    assert albums.enrol("Trip", ada.person).templates == 2
    assert {one.image for one in templates_of("Ada", tmp_path)} == {"ada.heic", "ada.png"}


def test_a_photo_that_is_deleted_meanwhile_is_passed_over(trip: AlbumClient, tmp_path: Path) -> None:
    """Between choosing a person's best faces and reading their photos: all that is left of one is its row."""
    ada = of(trip, ADA)
    trip.label("Trip", ada.person, "Ada")
    originals = [path for path in (tmp_path / "albums" / "originals").rglob("*") if path.is_file()]
    (deleted,) = (path for path in originals if path.read_bytes() == portrait(ADA, shade=1))
    deleted.unlink()
    assert trip.enrol("Trip", ada.person).templates == 3
    assert "day 1/ada 1.png" not in {one.image for one in templates_of("Ada", tmp_path)}


NEAR = ((59, 55), (38, 20), (32, 30))
"""Colours so alike that two of them may be one person, and not so alike that they are taken for one."""


@pytest.fixture
def doubtful(albums: AlbumClient) -> AlbumClient:
    """An album of three pairs of people who may be one: of four photos each, of three and of two."""
    albums.create("Doubt")
    for pair, photos in zip(NEAR, (4, 3, 2), strict=True):
        for number in pair:
            for shade in range(photos):
                albums.add("Doubt", f"{number} {shade}.png", portrait(number, shade=shade))
    albums.process("Doubt")
    assert albums.status("Doubt").people == 6
    return albums


def asked(albums: AlbumClient, limit: int = 20) -> list[frozenset[int]]:
    """The people who are asked about."""
    return [
        frozenset({suggestion.one.person, suggestion.other.person})
        for suggestion in albums.suggest("Doubt", limit).suggestions
    ]


def pair_of(albums: AlbumClient, numbers: tuple[int, int]) -> frozenset[int]:
    """The same two, by their colours."""
    return frozenset(of(albums, number, "Doubt").person for number in numbers)


def test_who_may_be_one_is_asked_with_the_most_faces_first(doubtful: AlbumClient) -> None:
    suggestions = doubtful.suggest("Doubt").suggestions
    assert asked(doubtful) == [pair_of(doubtful, numbers) for numbers in NEAR]
    assert [suggestion.faces for suggestion in suggestions] == [4, 3, 2]
    assert [(one.one.faces, one.other.faces) for one in suggestions] == [(4, 4), (3, 3), (2, 2)]
    assert all(0.5 < suggestion.similarity < 0.7 for suggestion in suggestions)
    assert asked(doubtful, limit=2) == [pair_of(doubtful, numbers) for numbers in NEAR[:2]]


def test_hidden_people_are_not_asked_about(doubtful: AlbumClient) -> None:
    first, second, third = asked(doubtful)
    doubtful.hide("Doubt", min(first))
    assert asked(doubtful) == [second, third]
    assert asked(doubtful, limit=1) == [second]  # who is left out takes nobody's place
    doubtful.undo("Doubt")
    assert asked(doubtful) == [first, second, third]


def test_suggestions_end_with_an_answer(doubtful: AlbumClient) -> None:
    first, second, third = asked(doubtful)
    doubtful.merge("Doubt", sorted(first))
    assert asked(doubtful) == [second, third]
    one, other = sorted(second)
    doubtful.different("Doubt", one, other)
    assert asked(doubtful) == [third]
    one, other = sorted(third)
    doubtful.different("Doubt", one, other)
    assert doubtful.suggest("Doubt").suggestions == ()
    doubtful.process("Doubt")
    assert doubtful.suggest("Doubt").suggestions == ()
    assert doubtful.status("Doubt").people == 5
    doubtful.undo("Doubt")
    assert asked(doubtful) == [third]


def test_an_album_of_people_who_are_nothing_alike_asks_nothing(trip: AlbumClient) -> None:
    assert trip.suggest("Trip").suggestions == ()
