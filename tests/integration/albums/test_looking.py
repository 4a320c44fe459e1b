"""What an album shows of its people and photos, and how it is searched."""

from __future__ import annotations

from facewire.client.album_client import AlbumClient
from facewire.protocol.albums.search import AlbumSample, AlbumWanted
from facewire.protocol.errors import ErrorCode
from tests.support.synthetic_engine import draw, portrait
from tests.support.trip import ADA, BEN, CLEO, LEFT, RIGHT, of, refused


def test_photos_become_people(trip: AlbumClient) -> None:
    info = trip.status("Trip")
    assert (info.photos, info.with_faces, info.without_faces, info.waiting) == (7, 6, 1, 0)
    assert (info.faces, info.people, info.named) == (7, 2, 0)
    people = trip.people("Trip").people
    assert [(person.faces, person.photos) for person in people] == [(4, 4), (3, 3)]


def test_a_label_is_shown_everywhere(trip: AlbumClient) -> None:
    ada = of(trip, ADA)
    assert trip.label("Trip", ada.person, " Ada  Lovelace ").people[0].name == "Ada Lovelace"
    assert trip.status("Trip").named == 1
    assert {face.name for face in trip.all_faces("Trip", person=ada.person)} == {"Ada Lovelace"}
    names = [photo.name for photo in trip.all_photos("Trip", person=ada.person)]
    assert names == ["both.png", *(f"day 1/ada {n}.png" for n in range(3))]


def test_search_finds_solo_and_group_photos_with_their_boxes(trip: AlbumClient) -> None:
    found = trip.search_samples("Trip", [portrait(BEN)])
    assert (found.total, found.solo, found.group) == (3, 2, 1)
    group = next(photo for photo in found.photos if not photo.solo)
    assert [match.box for match in group.matches] == [RIGHT]
    assert [photo.photo.name for photo in trip.search_samples("Trip", [portrait(BEN)], show="group").photos] == [
        "both.png"
    ]


def test_a_stranger_is_nobody_here(trip: AlbumClient) -> None:
    found = trip.search_samples("Trip", [portrait(CLEO)])
    assert found.photos == ()
    assert not found.wanted[0].found
    assert found.wanted[0].similarity is not None
    assert found.wanted[0].similarity < found.wanted[0].threshold


def test_a_wrong_face_in_a_group_sample_is_left_out(trip: AlbumClient) -> None:
    group = draw((BEN, LEFT), (ADA, (34.0, 10.0, 20.0, 20.0)))
    seen = trip.search_samples("Trip", [group])
    assert seen.total == 6
    faces = seen.wanted[0].samples[0]
    wrong = next(number for number, face in enumerate(faces) if face.box == LEFT)
    found = trip.search("Trip", [AlbumWanted((AlbumSample(group, (wrong,)),))])
    assert [face.used for face in found.wanted[0].samples[0]] == [number != wrong for number in range(2)]
    assert found.total == 4
    with refused(ErrorCode.NO_FACE):
        trip.search("Trip", [AlbumWanted((AlbumSample(group, (0, 1)),))])


def test_two_people_together(trip: AlbumClient) -> None:
    both = [AlbumWanted((AlbumSample(portrait(ADA)),)), AlbumWanted(people=(of(trip, BEN).person,))]
    assert trip.search("Trip", both).total == 6
    found = trip.search("Trip", both, together="all")
    assert [photo.photo.name for photo in found.photos] == ["both.png"]
    assert {match.wanted for match in found.photos[0].matches} == {0, 1}


def test_search_from_a_stored_face(trip: AlbumClient) -> None:
    ada = of(trip, ADA)
    assert trip.search("Trip", [AlbumWanted(faces=(ada.face,))]).total == 4


def test_pictures_thumbnails_and_crops(trip: AlbumClient) -> None:
    photo = trip.photos("Trip").photos[0]
    original = trip.photo("Trip", photo.photo)
    assert (original.image, original.type) == (draw((ADA, LEFT), (BEN, RIGHT)), "image/png")
    small = trip.photo("Trip", photo.photo, size=32)
    assert (small.type, small.width, small.height) == ("image/jpeg", 32, 24)
    crop = trip.face("Trip", of(trip, ADA).face, size=64)
    assert (crop.width, crop.height, crop.image[:2]) == (64, 64, b"\xff\xd8")
