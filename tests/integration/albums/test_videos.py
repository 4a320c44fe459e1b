"""A video in an album is a photo with a time: its people, their best faces, and when each is seen."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewire.client import FaceClient, ServerRefused
from facewire.client.album_client import AlbumClient
from facewire.client.cli import main as client_app
from facewire.protocol.albums.enrolling import AlbumEnrolled
from facewire.protocol.albums.looking import AlbumFaceEntry
from facewire.protocol.errors import ErrorCode
from facewire.server.albums.service import AlbumService
from facewire.server.jobs import Stopped
from tests.support.albums import album_service, listening, serving_albums
from tests.support.synthetic_engine import LEVEL, SyntheticEngine, colour, portrait
from tests.support.videos import LEFT, RIGHT, encoded, scene, visit

ADA, BOB = 5, 9


def middle(jpeg: bytes) -> tuple[int, ...]:
    """The colour in the middle of a picture, as drawn."""
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return tuple(LEVEL * round(level / LEVEL) for level in pixels[len(pixels) // 2, len(pixels[0]) // 2].tolist())


def film(albums: AlbumClient) -> list[AlbumFaceEntry]:
    """An album with a film of two people and a photo of the first, processed; the film's faces, Ada's first."""
    albums.create("Trip")
    albums.add("Trip", "ada.png", portrait(ADA))
    number = albums.add("Trip", "party.mp4", visit()).photo
    albums.process("Trip")
    faces = albums.faces("Trip", photo=number).faces
    (photo,) = (each.photo for each in albums.photos("Trip").photos if each.name == "ada.png")
    (ada,) = albums.faces("Trip", photo=photo).faces
    return sorted(faces, key=lambda face: face.person != ada.person)


def test_its_people_are_the_albums_with_their_seconds(albums: AlbumClient) -> None:
    ada, bob = film(albums)
    assert (ada.seen, bob.seen) == (((0.0, 4.0),), ((2.0, 6.0),))
    assert ada.box == pytest.approx(LEFT, abs=2)
    assert bob.box == pytest.approx(RIGHT, abs=2)
    assert ada.at is not None and 0.0 <= ada.at < 4.0
    ours = {person.person: person for person in albums.people("Trip").people}
    assert (ours[ada.person or 0].photos, ours[bob.person or 0].photos) == (2, 1)
    photo, video = albums.photos("Trip").photos
    assert (photo.seconds, video.seconds) == (None, 6.0)
    assert (video.width, video.height, video.faces, video.state) == (192, 128, 2, "faces")


def test_it_is_shown_by_its_best_frame_and_kept_as_it_is(albums: AlbumClient) -> None:
    video = visit()
    albums.create("Trip")
    number = albums.add("Trip", "party.mp4", video).photo
    before = albums.photo("Trip", number, 320)
    albums.process("Trip")
    poster = albums.photo("Trip", number, 100)
    assert (before.type, before.width, before.height) == ("image/jpeg", 192, 128)
    assert max(poster.width, poster.height) == 100
    original = albums.photo("Trip", number)
    assert (original.type, original.image) == ("video/mp4", video)
    shown = [middle(albums.face("Trip", face.face, 160).image) for face in albums.faces("Trip", photo=number).faces]
    assert sorted(shown) == sorted([colour(ADA), colour(BOB)])


def test_who_is_in_it_can_be_enrolled(client: FaceClient) -> None:
    _, bob = film(client.albums)
    client.albums.label("Trip", bob.person or 0, "Bob")
    assert client.albums.enrol("Trip", bob.person or 0) == AlbumEnrolled("Bob", 1, ())


def test_a_zip_brings_videos(albums: AlbumClient) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("day/party.mov", encoded(scene([(ADA, LEFT)], 1), form="mov"))
        file.writestr("day/film without a name", encoded(scene([(BOB, LEFT)], 1)))
        file.writestr("day/sound.wav", b"RIFF\x24\0\0\0WAVEfmt " + bytes(60))
        file.writestr("day/broken.mp4", b"\0\0\0\x18ftypmp42" + bytes(900))
    packed.seek(0)
    albums.create("Trip")
    ingested = albums.add_zip("Trip", packed)
    assert ingested.added == 2
    assert {skip.name for skip in ingested.skipped} == {"day/sound.wav", "day/broken.mp4"}
    assert albums.process("Trip").with_faces == 2


def test_a_live_photo_is_its_still(albums: AlbumClient) -> None:
    """Phones send the film beside it; other films of the same ZIP are videos."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        film = encoded(scene([(BOB, LEFT)], 1), form="mov")
        for name, data in (
            ("IMG_1.JPG", portrait(ADA)),
            ("IMG_1.mov", film),
            ("IMG_2.mov", film),
            ("x/IMG_1.MOV", b""),
        ):
            file.writestr(name, data)
    packed.seek(0)
    albums.create("Trip")
    ingested = albums.add_zip("Trip", packed)
    assert [(each.name, "Live Photo" in each.reason) for each in ingested.skipped] == [
        ("IMG_1.mov", True), ("x/IMG_1.MOV", False)
    ]  # fmt: skip
    assert ingested.added == 2


def test_a_broken_one_is_unreadable_and_the_next_is_not(albums: AlbumClient) -> None:
    albums.create("Trip")
    scenes = [frame for shade in range(6) for frame in scene([(ADA, LEFT)], 1, shade=shade)]
    whole = encoded(scenes, faststart=True)
    albums.add("Trip", "cut off.mp4", whole[: len(whole) * 3 // 4])
    albums.add("Trip", "whole.mp4", encoded(scene([(BOB, LEFT)], 1)))
    info = albums.process("Trip")
    assert (info.unreadable, info.with_faces) == (1, 1)
    cut, _ = albums.photos("Trip").photos
    assert "cut off" in (cut.reason or "")
    with pytest.raises(ServerRefused) as refused:
        albums.add("Trip", "text.mp4", b"no video at all")
    assert refused.value.code is ErrorCode.INVALID_IMAGE


def test_a_server_that_stops_within_one_begins_it_again(tmp_path: Path) -> None:
    """It stops while the first frame is embedded; the next server finds everybody, once."""
    looked: list[int] = []

    def stop(_: int) -> None:
        looked.append(1)
        if len(looked) == 3:
            raise Stopped

    stopping = SyntheticEngine(model="Facenet512", before_embedding=stop)
    with album_service(tmp_path, engine=stopping) as service, serving_albums(service) as client:
        client.albums.create("Trip")
        client.albums.add("Trip", "party.mp4", visit())
        with pytest.raises(ServerRefused, match="stopping"):
            client.albums.process("Trip")
        assert client.albums.status("Trip").waiting == 1
    with album_service(tmp_path) as service, serving_albums(service) as client:
        assert client.albums.process("Trip").with_faces == 1
        (video,) = client.albums.photos("Trip").photos
        assert len(client.albums.faces("Trip", photo=video.photo).faces) == 2


def test_the_command_lists_times(service: AlbumService, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "party.mp4"
    path.write_bytes(visit())
    with listening(service) as (host, port):
        for words in (["add", "Trip", str(path), "--create", "--process"], ["photos", "Trip"], ["faces", "Trip"]):
            assert client_app(["album", *words, "--host", host, "--port", str(port)]) == 0
    said = capsys.readouterr().out
    assert "party.mp4 (0:06.0): 2 faces" in said
    assert ", 0:00.0-0:04.0" in said
    assert ", 0:02.0-0:06.0" in said
