"""Corrections, suggestions, and what goes between an album and the gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from facewire.client import ServerRefused
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
    with refused(ErrorCode.CONFLICT):
        trip.undo("Trip")


def test_undo_takes_back_the_change_that_is_meant_or_nothing(trip: AlbumClient) -> None:
    ada, ben = of(trip, ADA).person, of(trip, BEN).person
    mine = trip.label("Trip", ada, "Ada")
    assert trip.status("Trip").undo_event == mine.event
    theirs = trip.label("Trip", ben, "Ben")
    with pytest.raises(ServerRefused, match=f"another change came after it .{theirs.event}: named 3 faces Ben") as no:
        trip.undo("Trip", last=mine.event)
    assert no.value.code is ErrorCode.CONFLICT
    assert {person.name for person in trip.all_people("Trip")} == {"Ada", "Ben"}
    assert trip.undo("Trip", last=theirs.event).event == theirs.event
    with pytest.raises(ServerRefused, match="has been undone already"):
        trip.undo("Trip", last=theirs.event)
    with pytest.raises(ServerRefused, match="has no change 999"):
        trip.undo("Trip", last=999)
    assert trip.undo("Trip", last=mine.event).event == mine.event
    assert trip.status("Trip").named == 0
    assert trip.status("Trip").undo_event is None


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
    (known,) = trip.recognise("Later").matches
    assert trip.recognise("Later", apply=True, people=[known.person + 1]).event is None
    event = trip.recognise("Later", apply=True, people=[known.person]).event
    assert [person.name for person in trip.all_people("Later")] == ["Ada"]
    trip.undo("Later", last=event)
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
    doubtful.hide("Doubt", [min(second), min(third)])
    assert asked(doubtful) == []
    assert doubtful.undo("Doubt").done == "undone: hid 2 people"
    doubtful.undo("Doubt")
    assert asked(doubtful) == [first, second, third]


def test_who_is_left_to_name(doubtful: AlbumClient) -> None:
    """Most photos first, each with whom they resemble; somebody whom nobody knows is not asked about again."""
    album = "Doubt"

    def queue() -> list[int]:
        return [person.person for person in doubtful.people(album, show="unnamed", order="photos").people]

    (ada, twin), (ben, other), (rare, rarer) = (sorted(pair) for pair in asked(doubtful))
    assert queue() == [ada, twin, ben, other, rare, rarer]
    doubtful.label(album, ada, "Ada")
    assert queue() == [twin, ben, other, rare, rarer]
    (suggestion,) = doubtful.suggest(album, person=twin).suggestions
    assert (suggestion.one.person, suggestion.other.name) == (twin, "Ada")
    with refused(ErrorCode.UNKNOWN_PERSON):
        doubtful.suggest(album, person=999)
    with refused(ErrorCode.INVALID_REQUEST):
        doubtful.stranger(album, [ben, ada])  # who is named is known
    doubtful.enrol(album, ada)
    changed = doubtful.stranger(album, [twin, rare])
    assert [person.stranger for person in changed.people] == [True, True]
    assert queue() == [ben, other, rarer]
    assert doubtful.status(album).strangers == 2
    assert asked(doubtful) == [frozenset({ben, other})]
    assert doubtful.recognise(album).matches == ()
    (suggestion,) = doubtful.suggest(album, person=twin).suggestions  # unless somebody asks
    doubtful.add(
        album,
        "more.png",
        portrait(NEAR[2][0] if of(doubtful, NEAR[2][0], album).person == rare else NEAR[2][1], shade=9),
    )
    doubtful.process(album)
    assert [person.person for person in doubtful.people(album, show="strangers").people] == [twin, rare]
    assert queue() == [ben, other, rarer]
    doubtful.label(album, rare, "Rita")  # somebody knows them after all
    assert doubtful.status(album).strangers == 1
    doubtful.undo(album)
    assert doubtful.status(album).strangers == 2
    doubtful.undo(album)
    assert doubtful.status(album).strangers == 0
    assert set(queue()) == {twin, ben, other, rare, rarer}


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


def test_names_are_searched_without_case_and_accents(trip: AlbumClient) -> None:
    ada, ben = of(trip, ADA), of(trip, BEN)
    trip.label("Trip", ada.person, "José Müller")
    trip.label("Trip", ben.person, "Anna Groß")
    for typed in ("jose", "JOSÉ", "muller", "mueller", " e m"):
        assert [person.person for person in trip.people("Trip", contains=typed).people] == [ada.person], typed
    assert [person.person for person in trip.all_people("Trip", contains="gross")] == [ben.person]
    assert trip.people("Trip", contains="nobody").total == 0
    trip.hide("Trip", ben.person)
    assert trip.people("Trip", contains="gross").total == 0
    assert trip.people("Trip", contains="gross", hidden=True).total == 1


def test_people_and_photos_are_found_by_their_numbers_in_any_digits(trip: AlbumClient) -> None:
    person = of(trip, BEN).person
    arabic = str(person).translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
    for typed in (str(person), arabic):
        assert [found.person for found in trip.people("Trip", contains=typed).people] == [person]
    sea = next(photo for photo in trip.all_photos("Trip") if photo.name == "sea.png")
    assert sea.photo in {photo.photo for photo in trip.all_photos("Trip", contains=str(sea.photo))}


def test_photos_are_searched_by_their_names_and_by_who_is_in_them(trip: AlbumClient) -> None:
    trip.add("Trip", "Straße in São Paulo.png", portrait(BEN, shade=1))  # the album has it under another name
    trip.add("Trip", "José/Straße.png", portrait(BEN, shade=9))
    trip.label("Trip", of(trip, ADA).person, "Josefa")

    def found(typed: str, **options: Any) -> list[str]:
        page = trip.photos("Trip", contains=typed, **options)
        assert page.total == len(page.photos)
        return [photo.name for photo in page.photos]

    assert found("strasse") == ["José/Straße.png", "day 2/ben 1.png"]
    assert found("sao paulo") == ["day 2/ben 1.png"]
    hers = ["both.png", *(f"day 1/ada {n}.png" for n in range(3))]
    assert sorted(found("jose")) == sorted(["José/Straße.png", *hers])
    assert found("jose", show="waiting") == ["José/Straße.png"]
    assert trip.photos("Trip", contains="jose", limit=2, offset=1).total == 5
    trip.hide("Trip", of(trip, ADA).person)
    assert found("jose") == ["José/Straße.png"]
    assert found("nothing of that name") == []


def test_names_of_all_albums(trip: AlbumClient) -> None:
    ada, ben = of(trip, ADA).person, of(trip, BEN).person
    trip.label("Trip", ada, "José")
    trip.label("Trip", ben, "Josefine")
    trip.create("Later")
    for shade in range(3):
        trip.add("Later", f"{shade}.png", portrait(BEN, shade=40 + shade))
    trip.process("Later")
    trip.label("Later", of(trip, BEN, "Later").person, "Josefine")

    def listed(*words: Any, **options: Any) -> list[tuple[str, int, int]]:
        return [(one.name, one.photos, one.albums) for one in trip.names(*words, **options).names]

    assert listed() == [("Josefine", 6, 2), ("José", 4, 1)]
    assert listed("JOSÉF", 1) == [("Josefine", 6, 2)]
    assert listed(albums=["Later"]) == [("Josefine", 3, 1)]
    trip.hide("Trip", ben)
    assert listed("josef") == [("Josefine", 3, 1)]


def test_albums_are_searched_by_their_names(albums: AlbumClient) -> None:
    for name in ("Straßburg", "São Paulo 2024", "Strassburg again"):
        albums.create(name)
    assert [info.album for info in albums.list(contains="STRASS").albums] == ["Strassburg again", "Straßburg"]
    assert [info.album for info in albums.list(contains="sao").albums] == ["São Paulo 2024"]
    assert albums.list(contains="２０２４").total == 1  # noqa: RUF001
    assert albums.list(contains=" ").total == 3
