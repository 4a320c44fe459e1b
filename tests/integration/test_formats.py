"""Every format through every door of a real server: turned once, boxes as shown, and what is left out is named."""

from __future__ import annotations

import io
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from facewire.client import FaceClient, InvalidImage, TooLarge
from facewire.client.album_client import AlbumClient
from facewire.client.cli import main
from facewire.client.pictures import LARGEST
from facewire.protocol.formats import NEITHER, UNSUPPORTED
from facewire.server.maintenance.create_db import main as create_db
from facewire.server.vision.image import ImageLimits, decode_image
from tests.support.albums import album_service, listening
from tests.support.living_server import Living, living_server
from tests.support.orientations import turned_file
from tests.support.pictures import opened, saved
from tests.support.synthetic_engine import SyntheticEngine, draw, portrait

SIZE, BOX = (96, 64), (16.0, 32.0, 16.0, 16.0)  # a face that turning moves
FULL_COLOUR: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "HEIF": {"quality": 95, "chroma": 444},
}
TURNED = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")
PEOPLE = {form: 5 + 9 * number for number, form in enumerate(TURNED)}
FILM = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"


def face(form: str, *, shade: int = 0, orientation: int = 6) -> bytes:
    """The face of that format, in a file that has to be turned."""
    drawn = opened(draw((PEOPLE[form], BOX), size=SIZE, shade=shade))
    return turned_file(form, orientation, drawn, **FULL_COLOUR.get(form, {}))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Living]:
    with living_server(tmp_path / "gallery.db") as server:
        yield server


@pytest.fixture
def albums(tmp_path: Path) -> Iterator[AlbumClient]:
    with (
        album_service(tmp_path) as service,
        listening(service) as (host, port),
        FaceClient(host, port) as client,
    ):
        client.albums.create("Trip")
        yield client.albums


def test_identify_enrol_and_verify(server: Living) -> None:
    with server.client() as client:
        for form in TURNED:
            enrolled = client.enrol(form, face(form), accept=["all"])
            assert [template.box for template in enrolled.templates] == [pytest.approx(BOX, abs=1)]
        for form in TURNED:
            seen = client.identify(face(form, shade=1, orientation=8))
            assert (seen.image.width, seen.image.height) == SIZE
            assert [one.name for one in seen.faces] == [form]
            assert [one.box for one in seen.faces] == [pytest.approx(BOX, abs=1)]
            assert client.verify(face(form, shade=2), face(form, shade=3)).same


def test_refusals_are_the_same_whatever_was_asked_before(server: Living) -> None:
    words = []
    for asked in (
        b"DDS |\0\0\0\x07\x10\x0a\0" + bytes(120),
        face("AVIF")[:300],
        face("HEIF")[:300],
        b"\xff\xd8\xff\xd9",
    ):
        with server.client() as client:
            for _ in range(2):
                with pytest.raises(InvalidImage) as refused:
                    client.identify(asked)
                words.append(refused.value.message)
                client.identify(face("HEIF"))
    assert words[::2] == words[1::2]
    assert words[0] == UNSUPPORTED


def test_create_db(tmp_path: Path) -> None:
    names = {
        "JPEG": "a.JFIF",
        "PNG": "no extension",
        "WEBP": "b.txt",
        "TIFF": "c.TIF",
        "AVIF": "d.avif",
        "HEIF": "e.HIF",
    }
    for form, name in names.items():
        path = tmp_path / "faces" / form / name
        path.parent.mkdir(parents=True)
        path.write_bytes(face(form))
    (tmp_path / "faces/PNG/film.mp4").write_bytes(FILM)
    db = tmp_path / "people.db"
    arguments = [str(tmp_path / "faces"), "--db", str(db), "--no-quality-gate"]
    assert create_db(arguments, open_engine=lambda choice: SyntheticEngine()) == 0
    with closing(sqlite3.connect(db)) as connection:
        rows = connection.execute(
            "SELECT p.name, i.path, i.width, i.height, t.x, t.y FROM templates t "
            "JOIN people p ON p.id = t.person_id JOIN images i ON i.id = t.image_id"
        ).fetchall()
    assert sorted(rows) == sorted((form, f"{form}/{name}", *SIZE, *BOX[:2]) for form, name in names.items())
    skipped = db.with_name("people.db.skipped.txt").read_text()
    assert skipped == "PNG/film.mp4\tnot a picture, by its name or by its first bytes\n"


def test_album_add(albums: AlbumClient) -> None:
    for form in TURNED:
        added = albums.add("Trip", form, face(form))
        assert (added.width, added.height) == SIZE
    info = albums.process("Trip")
    assert (info.with_faces, info.people) == (len(TURNED), len(TURNED))
    for photo in albums.photos("Trip").photos:
        (one,) = albums.faces("Trip", photo=photo.photo).faces
        assert one.box == pytest.approx(BOX, abs=1)
        small = albums.photo("Trip", photo.photo, size=48)
        assert (small.width, small.height) == (48, 32)
        crop = decode_image(albums.face("Trip", one.face, size=64).image, ImageLimits())
        drawn = decode_image(draw((PEOPLE[photo.name], BOX), size=SIZE), ImageLimits())
        assert abs(crop[32, 32].astype(int) - drawn[40, 24].astype(int)).max() < 30


def test_album_zip(albums: AlbumClient) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for form in TURNED:
            archive.writestr(f"deep/{form}", face(form))
        archive.writestr("notes.txt", "no picture")
        archive.writestr("film.mp4", FILM)
    buffer.seek(0)
    ingested = albums.add_zip("Trip", buffer)
    assert (ingested.added, ingested.skipped_total) == (len(TURNED), 2)
    assert {(one.name, one.reason) for one in ingested.skipped} == {
        ("notes.txt", NEITHER),
        ("film.mp4", "the video's header is damaged or cut off"),
    }
    assert albums.process("Trip").people == len(TURNED)


def test_album_import(albums: AlbumClient, tmp_path: Path) -> None:
    folder = tmp_path / "import" / "holiday"
    folder.mkdir(parents=True)
    for form in TURNED:
        (folder / form).write_bytes(face(form))
    (folder / "notes.txt").write_bytes(b"no picture")
    (folder / "link.png").symlink_to(folder / "PNG")
    assert albums.folders("holiday").pictures == len(TURNED)
    ingested = albums.import_folder("Trip", "holiday")
    assert ingested.added == len(TURNED)
    assert {one.name for one in ingested.skipped} == {"holiday/link.png", "holiday/notes.txt"}


def test_album_add_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "holiday"
    (folder / "deep").mkdir(parents=True)
    for form in TURNED:
        (folder / "deep" / form).write_bytes(face(form))
    (folder / "notes.txt").write_bytes(b"no picture")
    (folder / "more.zip").write_bytes(b"PK")
    with album_service(tmp_path) as service, listening(service) as (host, port):
        code = main(["album", "add", "Trip", str(folder), "--create", "--host", host, "--port", str(port)])
    printed = capsys.readouterr()
    assert code == 1
    assert printed.out == f"{len(TURNED)} photos added, 0 already there, 2 not added\n"
    assert f"holiday/notes.txt: {NEITHER}" in printed.err
    assert "holiday/more.zip: a ZIP inside a folder" in printed.err


def test_a_motion_photo_is_sent_without_its_film(
    server: Living, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = face("JPEG")
    motion, film = tmp_path / "motion.jpg", tmp_path / "film.jpg"
    motion.write_bytes(picture + FILM + bytes(LARGEST))
    film.write_bytes(FILM + bytes(LARGEST))
    port = str(server.address[1])
    assert main(["enrol", "Ann", str(motion), "--accept", "all", "--port", port]) == 0
    assert main([str(motion), "--port", port]) == 0
    assert main(["verify", str(motion), str(motion), "--port", port]) == 0
    with server.client() as client:
        assert client.identify_file(motion).faces[0].name == "Ann"
        with pytest.raises(TooLarge, match=r"the file has 33\.5 MB"):
            client.identify_file(film)
    capsys.readouterr()
    assert main([str(film), "--port", port]) == 3
    assert f"{film}: the video has 33.5 MB, and at most 33.5 MB can be sent: make it smaller" in capsys.readouterr().err


class TestHalfCopied:
    """A file that was still being copied when its folder was imported."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "import" / "holiday"
        folder.mkdir(parents=True)
        return folder

    @pytest.mark.parametrize("processed", [True, False])
    @pytest.mark.parametrize("allocated", [True, False])
    def test_the_whole_photo_takes_its_place(
        self, albums: AlbumClient, folder: Path, tmp_path: Path, processed: bool, allocated: bool
    ) -> None:
        whole = face("JPEG")
        half = whole[:-100]
        (folder / "a.jpg").write_bytes(half.ljust(len(whole), b"\0") if allocated else half)
        assert albums.import_folder("Trip", "holiday").added == 1
        if processed:
            assert albums.process("Trip").unreadable == 1
        (folder / "a.jpg").write_bytes(whole)
        assert albums.import_folder("Trip", "holiday").added == 1
        info = albums.process("Trip")
        assert (info.photos, info.with_faces, info.unreadable, info.size_bytes) == (1, 1, 0, len(whole))
        (kept,) = [path for path in (tmp_path / "albums" / "originals").rglob("*") if path.is_file()]
        assert kept.read_bytes() == whole

    def test_another_photo_of_that_name_does_not(self, albums: AlbumClient, folder: Path) -> None:
        albums.add("Trip", "holiday/a.png", portrait(3)[:-40])  # damaged, and nobody has it whole
        albums.process("Trip")
        (folder / "a.png").write_bytes(portrait(9))
        albums.import_folder("Trip", "holiday")
        info = albums.process("Trip")
        assert (info.photos, info.with_faces, info.unreadable) == (2, 1, 1)

    def test_nor_does_a_photo_with_faces_go(self, albums: AlbumClient, folder: Path) -> None:
        picture = saved(opened(portrait(3)), "JPEG", **FULL_COLOUR["JPEG"])
        albums.add("Trip", "holiday/a.jpg", picture)
        albums.process("Trip")
        (folder / "a.jpg").write_bytes(picture + FILM)
        albums.import_folder("Trip", "holiday")
        assert albums.process("Trip").photos == 2
