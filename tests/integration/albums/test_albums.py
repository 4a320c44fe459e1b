"""Albums beside each other: their names, and what goes with them."""

from __future__ import annotations

from facewire.client.album_client import AlbumClient
from facewire.protocol.errors import ErrorCode
from tests.support.trip import ADA, BEN, of, refused


def test_names_of_albums(albums: AlbumClient) -> None:
    albums.create("  Zoë's   trip ")
    with refused(ErrorCode.EXISTS):
        albums.create("Zoe\u0308's trip")
    with refused(ErrorCode.UNKNOWN_ALBUM):
        albums.status("nowhere")
    albums.create("other")
    with refused(ErrorCode.EXISTS):
        albums.rename("other", "Zoë's trip")
    assert albums.rename("other", "Another").album == "Another"
    assert [info.album for info in albums.list().albums] == ["Another", "Zoë's trip"]
    for name in ("", " ", "x" * 101, "a\x07b"):
        with refused(ErrorCode.INVALID_REQUEST):
            albums.create(name)


def test_what_is_not_there(trip: AlbumClient) -> None:
    with refused(ErrorCode.INVALID_REQUEST):
        trip.photo("Trip", 999)
    with refused(ErrorCode.INVALID_REQUEST):
        trip.face("Trip", 999)
    with refused(ErrorCode.UNKNOWN_PERSON):
        trip.label("Trip", 999, "Nobody")
    with refused(ErrorCode.INVALID_REQUEST):
        trip.move("Trip", [999], of(trip, ADA).person)


def test_another_album_is_another_world(trip: AlbumClient) -> None:
    trip.create("Empty")
    photo, ada = trip.photos("Trip").photos[0].photo, of(trip, ADA)
    with refused(ErrorCode.INVALID_REQUEST):
        trip.photo("Empty", photo)
    with refused(ErrorCode.UNKNOWN_PERSON):
        trip.label("Empty", ada.person, "Ada")
    with refused(ErrorCode.INVALID_REQUEST):
        trip.export("Empty", photos=[photo])


def test_removed_photos_take_their_faces_along(trip: AlbumClient) -> None:
    ben = of(trip, BEN)
    mine = [photo.photo for photo in trip.all_photos("Trip", person=ben.person)]
    removed = trip.remove("Trip", mine)
    assert (removed.photos, removed.faces) == (3, 4)
    assert trip.status("Trip").people == 1
    with refused(ErrorCode.INVALID_REQUEST):
        trip.photo("Trip", mine[0])
