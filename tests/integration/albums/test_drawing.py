"""Faces drawn by hand: where the detector missed one, kept as placed, undone, and found like any other."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from facewire.client.album_client import AlbumClient
from facewire.protocol.albums.looking import AlbumFaceEntry
from facewire.protocol.albums.search import AlbumWanted
from facewire.protocol.errors import ErrorCode
from facewire.server.gallery.records import Box
from facewire.server.vision.analyser import FoundFace, Picture
from tests.support.albums import album_service, serving_albums
from tests.support.synthetic_engine import SyntheticEngine, draw, portrait
from tests.support.trip import ADA, BEN, CLEO, LEFT, RIGHT, of, refused

MISSED = (40.0, 4.0, 18.0, 18.0)
"""Where a third face is, which this detector does not find by itself."""


class Missing(SyntheticEngine):
    """Finds no face of Cleo's colour in a whole picture; pointed at, it does."""

    def faces(self, data: bytes, *, emotion: bool = False) -> Picture:
        picture = super().faces(data)
        return Picture(picture.width, picture.height, tuple(face for face in picture.faces if not _is_cleo(face)))


def _is_cleo(face: FoundFace) -> bool:
    return face.box[2] == MISSED[2]


def photo_of(albums: AlbumClient, name: str) -> int:
    return next(photo.photo for photo in albums.all_photos("Trip") if photo.name == name)


def faces_of(albums: AlbumClient, photo: int) -> list[AlbumFaceEntry]:
    return sorted(albums.all_faces("Trip", photo=photo), key=lambda face: face.face)


def test_a_drawn_face_is_moved_removed_undone_and_survives(tmp_path: Path) -> None:
    picture = draw((ADA, (2.0, 10.0, 24.0, 24.0)), (CLEO, MISSED), size=(64, 48))
    with album_service(tmp_path, engine=Missing(model="Facenet512")) as service, serving_albums(service) as client:
        albums = client.albums
        albums.create("Trip")
        albums.add("Trip", "both.png", picture)
        albums.add("Trip", "sea.png", draw())
        albums.process("Trip")
        both, sea = photo_of(albums, "both.png"), photo_of(albums, "sea.png")
        assert len(faces_of(albums, both)) == 1

        drawn = albums.draw_face("Trip", both, MISSED, name="Cleo")
        assert drawn.done == "drew Cleo in both.png"
        assert drawn.face.box == MISSED
        assert (drawn.face.name, drawn.face.drawn, drawn.face.embedded, drawn.face.placed) == ("Cleo", True, True, True)
        assert drawn.face.detection > 0.9  # looked at closely, it was seen
        assert of(albums, CLEO).name == "Cleo"  # found by her picture
        assert albums.face("Trip", drawn.face.face).image

        moved = albums.redraw_face("Trip", drawn.face.face, (40.0, 24.0, 20.0, 20.0))  # nobody is there
        assert (moved.face.face, moved.face.box, moved.face.name) == (drawn.face.face, (40.0, 24.0, 20.0, 20.0), "Cleo")
        assert (moved.face.detection, moved.face.embedded) == (0, False)
        assert albums.search_samples("Trip", [portrait(CLEO)]).total == 0
        albums.undo("Trip", last=moved.event)
        assert of(albums, CLEO).name == "Cleo"

        tiny = albums.draw_face("Trip", sea, (1.0, 1.0, 4.0, 4.0), name="Cleo")
        assert (tiny.face.embedded, tiny.face.name) == (False, "Cleo")
        assert [photo.state for photo in albums.all_photos("Trip")] == ["faces", "faces"]
        cleo = AlbumWanted(people=(drawn.face.person or 0,))
        by_name = albums.search("Trip", [cleo])
        assert {photo.photo.name: photo.solo for photo in by_name.photos} == {"both.png": False, "sea.png": True}
        assert albums.search_samples("Trip", [portrait(CLEO)]).total == 2  # the other by her person
        removed = albums.remove_face("Trip", tiny.face.face)
        assert faces_of(albums, sea) == [] and albums.status("Trip").without_faces == 1
        assert albums.history("Trip").events[0].done == removed.done == "removed the box of Cleo from sea.png"
        albums.undo("Trip")
        assert faces_of(albums, sea) == [tiny.face]  # the same face, with its number and name

        before = faces_of(albums, both)
        albums.process("Trip")
        assert faces_of(albums, both) == before
    with album_service(tmp_path, engine=SyntheticEngine(model="Facenet")) as service, serving_albums(service) as client:
        albums = client.albums
        assert albums.status("Trip").waiting == 2
        albums.process("Trip")  # another model, whose detector finds Cleo by itself
        after = faces_of(albums, both)
        assert [(face.face, face.box, face.name, face.drawn) for face in after] == [
            (face.face, face.box, face.name, face.drawn) for face in before
        ]
        assert of(albums, CLEO).name == "Cleo"  # by the new model's embedding
        assert faces_of(albums, sea) == [tiny.face]
        for _ in range(2):  # the tiny face, then Cleo
            albums.undo("Trip")
        assert [face.name for face in faces_of(albums, both)] == [None]
        assert [person.name for person in albums.all_people("Trip")] == [None]
    with closing(sqlite3.connect(tmp_path / "albums" / "albums.db")) as db:
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_drawn_face_is_of_whom_the_user_says_and_leaves_with_its_photo(trip: AlbumClient) -> None:
    sea, both = photo_of(trip, "sea.png"), photo_of(trip, "both.png")
    ada = of(trip, ADA)
    drawn = trip.draw_face("Trip", sea, (10.0, 10.0, 20.0, 20.0), person=ada.person)
    assert drawn.people[0].faces == ada.faces + 1
    nobody = trip.draw_face("Trip", sea, (35.0, 10.0, 40.0, 20.0))
    assert nobody.face.box == (35.0, 10.0, 29.0, 20.0)  # cut at the edge
    assert (nobody.face.name, nobody.face.placed) == (None, False)
    assert nobody.face.person not in (None, ada.person)
    trip.label("Trip", ada.person, "Ada")
    trip.process("Trip")
    kept = next(face for face in faces_of(trip, sea) if face.face == drawn.face.face)
    assert (kept.person, kept.name, kept.box) == (ada.person, "Ada", drawn.face.box)

    with refused(ErrorCode.EXISTS):
        trip.draw_face("Trip", both, LEFT)
    with refused(ErrorCode.UNKNOWN_PERSON):
        trip.draw_face("Trip", sea, (0.0, 0.0, 9.0, 9.0), person=999)
    found = next(face for face in faces_of(trip, both) if face.box == RIGHT)
    for ask in (
        lambda: trip.draw_face("Trip", sea, (80.0, 80.0, 9.0, 9.0)),
        lambda: trip.draw_face("Trip", 999, (0.0, 0.0, 9.0, 9.0)),
        lambda: trip.redraw_face("Trip", found.face, (0.0, 0.0, 9.0, 9.0)),
        lambda: trip.remove_face("Trip", found.face),
    ):
        with refused(ErrorCode.INVALID_REQUEST):
            ask()

    trip.remove("Trip", [sea])
    assert not any(face.drawn for face in trip.all_faces("Trip"))
    for _ in range(3):
        trip.undo("Trip")  # naming Ada, and both drawings, of which nothing is left
    assert of(trip, BEN).faces == 3


class Doubting(Missing):
    """Is hardly sure of a face that it is pointed at."""

    def pointed_at(self, data: bytes, boxes: Sequence[Box]) -> list[FoundFace | None]:
        return [face and replace(face, detection=0.5) for face in super().pointed_at(data, boxes)]


def test_a_drawn_face_that_is_poor_is_no_cover(tmp_path: Path) -> None:
    """Though it is larger than the clear one."""
    large = (40.0, 4.0, 40.0, 40.0)
    with album_service(tmp_path, engine=Doubting(model="Facenet512")) as service, serving_albums(service) as client:
        albums = client.albums
        albums.create("Trip")
        albums.add("Trip", "ada.png", draw((ADA, (2.0, 4.0, 16.0, 16.0)), (CLEO, MISSED), size=(96, 48)))
        albums.process("Trip")
        (ada,) = albums.people("Trip").people
        drawn = albums.draw_face("Trip", photo_of(albums, "ada.png"), MISSED, person=ada.person)
        assert drawn.face.embedded
        drawn = albums.redraw_face("Trip", drawn.face.face, large)
        assert (drawn.face.detection, drawn.face.box, drawn.face.embedded) == (0.5, large, True)
        assert drawn.people[0].face == ada.face


def test_a_drawn_face_is_of_one_album_only(trip: AlbumClient) -> None:
    trip.create("Other")
    trip.add("Other", "sea.png", draw())
    sea = photo_of(trip, "sea.png")
    face = trip.draw_face("Trip", sea, (10.0, 10.0, 20.0, 20.0), name="Ada").face
    trip.process("Other")
    assert trip.status("Other").faces == 0
    trip.remove("Trip", [sea])
    with refused(ErrorCode.INVALID_REQUEST):
        trip.face("Trip", face.face)
    assert trip.status("Other").photos == 1
