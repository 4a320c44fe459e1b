"""The albums' service in process: complete, equal to what a client is told, and a change of model."""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.client import ServerRefused
from facewire.protocol.albums.adding import (
    AlbumAdd,
    AlbumAddZip,
    AlbumFolders,
    AlbumImport,
    AlbumIngested,
    AlbumProcess,
)
from facewire.protocol.albums.collection import AlbumCreate, AlbumDelete, AlbumInfo, AlbumList, AlbumStatus
from facewire.protocol.albums.correcting import AlbumHistory, AlbumLabel, AlbumMove, AlbumSplit, AlbumSuggest, AlbumUndo
from facewire.protocol.albums.export import AlbumExportRead
from facewire.protocol.albums.looking import (
    AlbumDays,
    AlbumFace,
    AlbumFaceEntry,
    AlbumFaces,
    AlbumPeople,
    AlbumPhoto,
    AlbumPhotos,
)
from facewire.protocol.albums.search import AlbumSample, AlbumSearch, AlbumWanted
from facewire.protocol.messages import Request
from facewire.protocol.schema import REQUEST_OF, Asks
from facewire.server.albums.database import Database
from facewire.server.albums.settings import AlbumLimits
from facewire.server.errors import BadRequest, Busy, OverLimit, RequestError, StartError
from facewire.server.reply import Reply
from facewire.server.tcp.answers import code_of
from facewire.server.vision import engine
from facewire.server.vision.analyser import Picture
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.image import Header, ImageLimits
from facewire.server.vision.quality import FaceQuality
from tests.support.albums import Heard, album_service, ask, serving_albums
from tests.support.synthetic_engine import Pixels, SyntheticEngine, draw, portrait
from tests.support.waiting import PATIENCE_S

ADA, BEN = 5, 22


def test_every_operation_has_one_handler(tmp_path: Path) -> None:
    with album_service(tmp_path) as service:
        assert set(service.handlers) | set(service.followed) == set(
            {shape for op, shape in REQUEST_OF.items() if op.startswith("album.")}
        )
        assert not set(service.handlers) & set(service.followed)


def test_in_process_and_over_a_socket_the_answers_are_equal(tmp_path: Path) -> None:
    with album_service(tmp_path) as service, serving_albums(service) as client:
        ask(service, AlbumCreate("Trip"))
        for number in range(4):
            ask(service, AlbumAdd("Trip", f"{number}.png", portrait(ADA if number % 2 else BEN, shade=number)))
        ask(service, AlbumProcess("Trip"))
        person = ask(service, AlbumPeople("Trip")).people[0].person
        wanted = (AlbumWanted((AlbumSample(portrait(ADA)),)),)
        answered: tuple[Asks[Any], ...] = (
            AlbumStatus("Trip"),
            AlbumList(),
            AlbumPhotos("Trip", person=person),
            AlbumFaces("Trip", limit=2),
            AlbumPeople("Trip"),
            AlbumSearch("Trip", wanted),
            AlbumSuggest("Trip"),
            AlbumHistory("Trip"),
            AlbumPhoto("Trip", 1),
            AlbumPhoto("Trip", 1, 20),
            AlbumFace("Trip", 1),
            AlbumFolders(),
            AlbumDays("Trip"),
        )
        for body in answered:
            assert client.ask(body) == ask(service, body)
        refused: tuple[Asks[Any], ...] = (
            AlbumStatus("Nowhere"),
            AlbumPhoto("Trip", 99),
            AlbumLabel("Trip", 99, "X"),
            AlbumLabel("Trip", person, "\x07"),
            AlbumUndo("Trip"),
            AlbumImport("Trip", "../.."),
            AlbumFolders("../.."),
            AlbumSearch("Trip", (AlbumWanted((AlbumSample(b"no"),)),)),
            AlbumExportRead("nothing"),
        )
        for body in refused:
            with pytest.raises(RequestError) as inside:
                ask(service, body)
            with pytest.raises(ServerRefused) as outside:
                client.ask(body)
            assert (outside.value.code, outside.value.message) == (code_of(inside.value), str(inside.value))


class _Turned(SyntheticEngine):
    """Another model: the same faces, a few pixels off, and embeddings that can't be compared with the first one's."""

    def templates(self, crops: Sequence[Pixels]) -> NDArray[np.float32]:
        embeddings = super().templates(crops)
        return np.roll(embeddings, 5, axis=1)


def test_another_model_finds_the_faces_anew_and_keeps_what_users_said(tmp_path: Path) -> None:
    boxes = ((2.0, 10.0, 24.0, 24.0), (34.0, 10.0, 24.0, 24.0))
    with album_service(tmp_path) as service:
        ask(service, AlbumCreate("Trip"))
        ask(service, AlbumAdd("Trip", "both.png", draw((ADA, boxes[0]), (BEN, boxes[1]))))
        ask(service, AlbumAdd("Trip", "ada.png", portrait(ADA)))
        ask(service, AlbumProcess("Trip"))
        people = ask(service, AlbumPeople("Trip")).people
        ask(service, AlbumLabel("Trip", people[0].person, "Ada"))
        before = ask(service, AlbumPeople("Trip"))
        faces = ask(service, AlbumFaces("Trip"))
    engine = _Turned(model="Facenet")
    with album_service(tmp_path, engine=engine) as service:
        assert ask(service, AlbumStatus("Trip")).waiting == 2
        ask(service, AlbumProcess("Trip"))
        assert ask(service, AlbumPeople("Trip")) == before
        assert ask(service, AlbumFaces("Trip")) == faces
        wanted = (AlbumWanted((AlbumSample(portrait(ADA)),)),)
        assert ask(service, AlbumSearch("Trip", wanted)).total == 2


def test_a_name_stays_when_the_faces_that_were_there_when_it_was_given_have_left(tmp_path: Path) -> None:
    """What came to a person later keeps the name, and is not swallowed by somebody who looks the same."""
    with album_service(tmp_path) as service:

        def add(name: str, shade: int) -> int:
            ask(service, AlbumAdd("Trip", name, portrait(ADA, shade=shade)))
            ask(service, AlbumProcess("Trip"))
            faces = ask(service, AlbumFaces("Trip")).faces
            return max(face.face for face in faces)

        def person_of(face: int) -> int | None:
            faces = ask(service, AlbumFaces("Trip")).faces
            return next(entry.person for entry in faces if entry.face == face)

        ask(service, AlbumCreate("Trip"))
        first = add("first", 1)
        ada = person_of(first)
        assert ada is not None
        ask(service, AlbumLabel("Trip", ada, "Ada"))
        second = add("second", 2)  # joins her by itself
        assert person_of(second) == ada
        ask(service, AlbumAdd("Trip", "ben 1", portrait(BEN, shade=1)))
        ask(service, AlbumAdd("Trip", "ben 2", portrait(BEN, shade=2)))
        ask(service, AlbumProcess("Trip"))
        bens: list[AlbumFaceEntry] = [face for face in ask(service, AlbumFaces("Trip")).faces if face.person != ada]
        ben = bens[0].person
        assert ben is not None
        ask(service, AlbumSplit("Trip", ben, (bens[0].face,), "Ben"))
        # A user puts the face that Ada was named by where nobody else is: who is there now looks like Ada.
        ask(service, AlbumMove("Trip", (first,), ben))
        other = person_of(bens[0].face)
        assert other is not None
        ask(service, AlbumMove("Trip", (bens[1].face,), other))
        assert [person_of(face) for face in (first, second)] == [ben, ada]
        third = add("third", 3)
        people = {person.person: person.name for person in ask(service, AlbumPeople("Trip")).people}
        assert people == {ada: "Ada", other: "Ben", ben: None}
        assert person_of(second) == ada
        assert person_of(third) in (ada, ben)


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
            ask(service, AlbumCreate("Trip"))
            added = ask(service, AlbumAdd("Trip", "a", portrait(1)))
        orphan = tmp_path / "albums" / "originals" / "ab" / ("ab" * 32)
        orphan.parent.mkdir(exist_ok=True)
        orphan.write_bytes(b"never acknowledged")
        half = tmp_path / "albums" / "incoming" / "half"
        half.write_bytes(b"half")
        with album_service(tmp_path) as service:
            assert not orphan.exists()
            assert not half.exists()
            assert ask(service, AlbumPhoto("Trip", added.photo)).image == portrait(1)


class TestUploads:
    def test_one_that_is_given_up_makes_room_and_one_that_goes_on_does_not(self, tmp_path: Path) -> None:
        with album_service(tmp_path) as service:
            ask(service, AlbumCreate("Trip"))
            old, young = (ask(service, AlbumAddZip("Trip", b"PK half")).upload for _ in range(2))
        folder = tmp_path / "albums" / "uploads"
        hours_ago = time.time() - 7200
        os.utime(folder / old, (hours_ago, hours_ago))
        (folder / "nobody's").write_bytes(b"")
        with album_service(tmp_path) as service:
            assert [path.name for path in folder.iterdir()] == [young]
            with pytest.raises(BadRequest, match="start again"):
                ask(service, AlbumAddZip("Trip", b"more", old, 7))
            assert ask(service, AlbumAddZip("Trip", b"more", young, 7)).received == 11

    def test_too_many_and_too_large(self, tmp_path: Path) -> None:
        with album_service(tmp_path, limits=AlbumLimits(uploads=1, zip_bytes=10)) as service:
            ask(service, AlbumCreate("Trip"))
            first = ask(service, AlbumAddZip("Trip", b"0123456789"))
            with pytest.raises(OverLimit, match="already being uploaded"):
                ask(service, AlbumAddZip("Trip", b"x"))
            with pytest.raises(OverLimit, match="10 bytes at most"):
                ask(service, AlbumAddZip("Trip", b"x", first.upload, 10))
            ask(service, AlbumDelete("Trip"))
            assert list((tmp_path / "albums" / "uploads").iterdir()) == []

    def test_what_is_no_zip_is_refused_and_forgotten(self, tmp_path: Path) -> None:
        with album_service(tmp_path) as service:
            ask(service, AlbumCreate("Trip"))
            with pytest.raises(BadRequest, match="not a ZIP file"):
                ask(service, AlbumAddZip("Trip", b"not at all", last=True))
            assert list((tmp_path / "albums" / "uploads").iterdir()) == []
            assert not ask(service, AlbumStatus("Trip")).adding


def test_a_server_that_stops_while_it_adds_goes_on_at_its_next_start(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(40):
            archive.writestr(f"{number}.png", portrait(1, shade=number))
    heard = Heard()
    with album_service(tmp_path) as service:
        ask(service, AlbumCreate("Trip"))
        body = AlbumAddZip("Trip", buffer.getvalue(), last=True)
        service.followed[AlbumAddZip](body, reply=Reply(Request(1, body), heard))
    assert heard.ended.wait(30)
    assert heard.result is not None or isinstance(heard.error, Busy)
    with pytest.raises(Busy):
        ask(service, AlbumStatus("Trip"))  # and hangs nobody
    with album_service(tmp_path) as service:
        until = time.monotonic() + PATIENCE_S
        while ask(service, AlbumStatus("Trip")).adding and time.monotonic() < until:
            time.sleep(0.05)
        assert ask(service, AlbumStatus("Trip")).photos == 40
        uploads = tmp_path / "albums" / "uploads"
        while list(uploads.iterdir()) and time.monotonic() < until:  # swept once it is noted that all is added
            time.sleep(0.05)
        assert list(uploads.iterdir()) == []


def test_more_albums_than_a_queue_would_hold_go_on_after_a_restart(tmp_path: Path) -> None:
    names = [f"album {number}" for number in range(100)]
    with album_service(tmp_path) as service:
        for name in names:
            ask(service, AlbumCreate(name))
            ask(service, AlbumAdd(name, "a.png", portrait(ADA)))
            ask(service, AlbumProcess(name, wait=False))
    with album_service(tmp_path) as service:
        for name in names:
            assert ask(service, AlbumProcess(name)).people == 1


class BusyAtFirst(SyntheticEngine):
    """As where every decoder has work, or pictures of others have all memory."""

    asked = 0

    def faces(self, data: bytes, *, emotion: bool = False) -> Picture:
        self.asked += 1
        if self.asked % 2:
            raise Busy("too many pictures are waiting to be decoded", retry_after_ms=1)
        return super().faces(data)


class BusyDecoder(Decoder):
    asked = 0

    def look(self, data: bytes, limits: ImageLimits) -> Header:
        self.asked += 1
        if self.asked % 2:
            raise Busy("too many pictures are waiting to be decoded", retry_after_ms=1)
        return super().look(data, limits)


def test_an_albums_work_waits_where_the_decoders_are_busy(tmp_path: Path) -> None:
    """Nothing is unreadable, or left out, because others were served first."""
    with closing(BusyDecoder()) as decoder:
        engine = BusyAtFirst(model="Facenet512", decoder=decoder)
        (tmp_path / "import" / "some").mkdir(parents=True)
        for number in (ADA, BEN):
            (tmp_path / "import" / "some" / f"{number}.png").write_bytes(portrait(number))
        with album_service(tmp_path, engine=engine) as service:
            ask(service, AlbumCreate("Trip"))
            ingested = ask(service, AlbumImport("Trip", "some"))
            assert isinstance(ingested, AlbumIngested)
            assert (ingested.added, ingested.skipped_total) == (2, 0)
            info = ask(service, AlbumProcess("Trip"))
            assert isinstance(info, AlbumInfo)
            assert (info.with_faces, info.unreadable) == (2, 0)


class SeesBlur(SyntheticEngine):
    """Takes large faces for blurred ones."""

    def quality(self, face: engine.Face, picture: engine.Picture) -> FaceQuality:
        return replace(super().quality(face, picture), sharpness=0.001 if face.box[2] > 20 else 0.1)


def test_a_blurred_face_is_no_cover_of_somebody_who_has_a_clear_one(tmp_path: Path) -> None:
    with album_service(tmp_path, engine=SeesBlur(model="Facenet512")) as service:
        ask(service, AlbumCreate("Trip"))
        ask(service, AlbumAdd("Trip", "large.png", draw((ADA, (8.0, 8.0, 32.0, 32.0)), size=(48, 48))))
        ask(service, AlbumProcess("Trip"))
        (ada,) = ask(service, AlbumPeople("Trip")).people
        large = ada.face
        for shade in range(3):
            ask(service, AlbumAdd("Trip", f"small {shade}.png", portrait(ADA, shade=shade)))
        ask(service, AlbumProcess("Trip"))
        (ada,) = ask(service, AlbumPeople("Trip")).people
        assert ada.faces == 4 and ada.face != large
        assert ask(service, AlbumFaces("Trip")).faces[-1].face == large
