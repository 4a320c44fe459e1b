"""The albums' service in process: complete, equal to what a client is told, and a change of model."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from client import ServerRefused
from protocol import album_messages as wire
from server.albums.database import Database
from server.errors import RequestError, StartError
from server.tcp.dispatch import code_of
from tests.support.albums import album_service, ask, serving_albums
from tests.support.synthetic_engine import SyntheticEngine, draw, portrait

ADA, BEN = 5, 22


def test_every_operation_has_one_handler(tmp_path: Path) -> None:
    with album_service(tmp_path) as service:
        assert set(service.handlers) | set(service.followed) == set(get_args(wire.AlbumRequest))
        assert not set(service.handlers) & set(service.followed)


def test_in_process_and_over_a_socket_the_answers_are_equal(tmp_path: Path) -> None:
    with album_service(tmp_path) as service, serving_albums(service) as client:
        ask(service, wire.AlbumCreate("Trip"))
        for number in range(4):
            ask(service, wire.AlbumAdd("Trip", f"{number}.png", portrait(ADA if number % 2 else BEN, shade=number)))
        ask(service, wire.AlbumProcess("Trip"))
        person = ask(service, wire.AlbumPeople("Trip")).people[0].person  # type: ignore[union-attr]
        wanted = (wire.AlbumWanted((wire.AlbumSample(portrait(ADA)),)),)
        for body in (
            wire.AlbumStatus("Trip"),
            wire.AlbumList(),
            wire.AlbumPhotos("Trip", person=person),
            wire.AlbumFaces("Trip", limit=2),
            wire.AlbumPeople("Trip"),
            wire.AlbumSearch("Trip", wanted),
            wire.AlbumSuggest("Trip"),
            wire.AlbumHistory("Trip"),
            wire.AlbumPhoto("Trip", 1),
            wire.AlbumPhoto("Trip", 1, 20),
            wire.AlbumFace("Trip", 1),
            wire.AlbumFolders(),
        ):
            assert client.ask(body, object) == ask(service, body)
        for body in (
            wire.AlbumStatus("Nowhere"),
            wire.AlbumPhoto("Trip", 99),
            wire.AlbumLabel("Trip", 99, "X"),
            wire.AlbumLabel("Trip", person, "\x07"),
            wire.AlbumUndo("Trip"),
            wire.AlbumImport("Trip", "../.."),
            wire.AlbumFolders("../.."),
            wire.AlbumSearch("Trip", (wire.AlbumWanted((wire.AlbumSample(b"no"),)),)),
            wire.AlbumExportRead("nothing"),
        ):
            with pytest.raises(RequestError) as inside:
                ask(service, body)
            with pytest.raises(ServerRefused) as outside:
                client.ask(body, object)
            assert (outside.value.code, outside.value.message) == (code_of(inside.value), str(inside.value))


class _Turned(SyntheticEngine):
    """Another model: the same faces, a few pixels off, and embeddings that can't be compared with the first one's."""

    def templates(self, crops):  # type: ignore[no-untyped-def]
        embeddings: NDArray[np.float32] = super().templates(crops)
        return np.roll(embeddings, 5, axis=1)


def test_another_model_finds_the_faces_anew_and_keeps_what_users_said(tmp_path: Path) -> None:
    boxes = ((2.0, 10.0, 24.0, 24.0), (34.0, 10.0, 24.0, 24.0))
    with album_service(tmp_path) as service:
        ask(service, wire.AlbumCreate("Trip"))
        ask(service, wire.AlbumAdd("Trip", "both.png", draw((ADA, boxes[0]), (BEN, boxes[1]))))
        ask(service, wire.AlbumAdd("Trip", "ada.png", portrait(ADA)))
        ask(service, wire.AlbumProcess("Trip"))
        people = ask(service, wire.AlbumPeople("Trip")).people  # type: ignore[union-attr]
        ask(service, wire.AlbumLabel("Trip", people[0].person, "Ada"))
        before = ask(service, wire.AlbumPeople("Trip"))
        faces = ask(service, wire.AlbumFaces("Trip"))
    engine = _Turned(model="Facenet")
    with album_service(tmp_path, engine=engine) as service:
        assert ask(service, wire.AlbumStatus("Trip")).waiting == 2  # type: ignore[union-attr]
        ask(service, wire.AlbumProcess("Trip"))
        assert ask(service, wire.AlbumPeople("Trip")) == before
        assert ask(service, wire.AlbumFaces("Trip")) == faces
        wanted = (wire.AlbumWanted((wire.AlbumSample(portrait(ADA)),)),)
        assert ask(service, wire.AlbumSearch("Trip", wanted)).total == 2  # type: ignore[union-attr]


class TestStart:
    def test_two_servers_do_not_share_albums(self, tmp_path: Path) -> None:
        with album_service(tmp_path), pytest.raises(StartError, match="another server"):
            Database.open(tmp_path / "albums")

    def test_a_file_that_is_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "albums.db").write_bytes(b"SQLite this is not" * 100)
        with pytest.raises(StartError, match="not a database"):
            Database.open(tmp_path)

    def test_a_folder_that_can_not_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StartError, match="can't hold albums"):
            Database.open(tmp_path / "file" / "albums")

    def test_what_a_crash_left_behind_is_removed(self, tmp_path: Path) -> None:
        with album_service(tmp_path) as service:
            ask(service, wire.AlbumCreate("Trip"))
            added = ask(service, wire.AlbumAdd("Trip", "a", portrait(1)))
        orphan = tmp_path / "albums" / "originals" / "ab" / ("ab" * 32)
        orphan.parent.mkdir(exist_ok=True)
        orphan.write_bytes(b"never acknowledged")
        half = tmp_path / "albums" / "incoming" / "half"
        half.write_bytes(b"half")
        with album_service(tmp_path) as service:
            assert not orphan.exists()
            assert not half.exists()
            assert ask(service, wire.AlbumPhoto("Trip", added.photo)).image == portrait(1)  # type: ignore[union-attr]
