"""How photos come into an album, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from facewire.client import FaceClient, ServerRefused
from facewire.client.album_client import AlbumClient
from facewire.protocol.albums.adding import AlbumAdded, AlbumAddZip
from facewire.protocol.errors import ErrorCode
from facewire.server.albums.settings import AlbumLimits
from tests.support.albums import album_service, serving_albums
from tests.support.pictures import saved
from tests.support.synthetic_engine import SyntheticEngine, portrait
from tests.support.trip import ADA, BEN, refused, zipped


def test_the_same_picture_is_stored_once(albums: AlbumClient, tmp_path: Path) -> None:
    for album in ("one", "two"):
        albums.create(album)
        first = albums.add(album, "a.png", portrait(ADA))
        again = albums.add(album, "b.png", portrait(ADA))
        assert (first.duplicate, again.duplicate, again.photo) == (False, True, first.photo)
    originals = [path for path in (tmp_path / "albums" / "originals").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in originals] == [portrait(ADA)]
    albums.delete("one")
    assert albums.photo("two", first.photo).image == portrait(ADA)
    albums.delete("two")
    assert not originals[0].exists()


def test_a_face_is_embedded_once_ever(tmp_path: Path) -> None:
    engine = SyntheticEngine(model="Facenet512")
    with album_service(tmp_path, engine=engine) as service, serving_albums(service) as client:
        for album in ("one", "two", "one again"):
            client.albums.create(album)
            client.albums.add(album, "a.png", portrait(ADA))
            assert client.albums.process(album).people == 1
            client.albums.process(album)
    assert engine.embedded == 1


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "HEIF"])
def test_formats(albums: AlbumClient, form: str) -> None:
    picture = Image.open(io.BytesIO(portrait(21, shade=0))).convert("RGB").resize((256, 192), Image.Resampling.NEAREST)
    data = saved(picture, form, **({"quality": 95} if form in ("JPEG", "WEBP", "HEIF") else {}))
    albums.create("Formats")
    albums.add("Formats", "picture", data)
    info = albums.process("Formats")
    assert (info.with_faces, info.unreadable) == (1, 0), albums.photos("Formats")
    photo = albums.photos("Formats").photos[0]
    assert albums.photo("Formats", photo.photo).image == data
    assert albums.photo("Formats", photo.photo, size=64).width == 64


def test_what_is_no_picture_is_refused_and_the_others_are_not(albums: AlbumClient) -> None:
    albums.create("Mixed")
    outcomes = list(albums.add_many("Mixed", [("a.png", portrait(1)), ("b.png", b"text"), ("c.png", portrait(2))]))
    assert [isinstance(outcome, AlbumAdded) for outcome in outcomes] == [True, False, True]
    assert isinstance(outcomes[1], ServerRefused)
    assert outcomes[1].code is ErrorCode.INVALID_IMAGE


def test_a_damaged_picture_is_listed_with_its_reason(albums: AlbumClient) -> None:
    albums.create("Damaged")
    albums.add("Damaged", "half.png", portrait(1)[:-60])
    info = albums.process("Damaged")
    assert (info.unreadable, info.waiting) == (1, 0)
    (entry,) = albums.photos("Damaged", show="unreadable").photos
    assert entry.reason is not None
    assert "cut off or damaged: about" in entry.reason


def test_names_never_become_paths(albums: AlbumClient, tmp_path: Path) -> None:
    albums.create("Names")
    before = {path for path in tmp_path.rglob("*") if "originals" not in path.parts}
    for number, name in enumerate(["../../evil.png", "/etc/passwd", "C:\\x\\y.png", "a\x00b.png", "..", ""]):
        albums.add("Names", name, portrait(1, shade=number))
    assert {path for path in tmp_path.rglob("*") if "originals" not in path.parts} == before
    names = [photo.name for photo in albums.all_photos("Names")]
    assert sorted(names) == ["a_b.png", "etc/passwd", "evil.png", "photo", "photo", "x/y.png"]


def test_a_zip_goes_up_in_pieces(albums: AlbumClient) -> None:
    data = zipped({"in/a.png": portrait(ADA), "b.png": portrait(BEN), "notes.txt": b"hello", "c.png": b"broken"})
    albums.create("Zip")
    sent: list[int] = []
    ingested = albums.add_zip("Zip", io.BytesIO(data), on_sent=sent.append)
    assert (ingested.added, ingested.duplicates, ingested.skipped_total) == (2, 0, 2)
    assert {skipped.name for skipped in ingested.skipped} == {"notes.txt", "c.png"}
    assert sent[-1] == len(data)
    assert albums.add_zip("Zip", io.BytesIO(data)).duplicates == 2


def test_an_upload_goes_on_where_it_stopped(client: FaceClient) -> None:
    data = zipped({"a.png": portrait(ADA)})
    client.albums.create("Zip")
    half = len(data) // 2
    taken = client.ask(AlbumAddZip("Zip", data[:half]))
    again = client.ask(AlbumAddZip("Zip", data[:half], taken.upload, 0))
    assert again.received == half
    with refused(ErrorCode.INVALID_REQUEST):
        client.ask(AlbumAddZip("Zip", b"x", taken.upload, half + 1))
    end = client.ask(AlbumAddZip("Zip", data[half - 5 :], taken.upload, half - 5, last=True))
    assert end.ingested is not None
    assert end.ingested.added == 1


def test_a_folder_of_the_server_below_its_root_only(albums: AlbumClient, tmp_path: Path) -> None:
    inside = tmp_path / "import" / "holiday"
    (inside / "day 1").mkdir(parents=True)
    (inside / "day 1" / "a.png").write_bytes(portrait(ADA))
    (inside / "b.png").write_bytes(b"broken")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s.png").write_bytes(portrait(BEN))
    (inside / "link.png").symlink_to(tmp_path / "secret" / "s.png")
    (tmp_path / "import" / "out").symlink_to(tmp_path / "secret")
    albums.create("Import")
    ingested = albums.import_folder("Import", "holiday")
    assert (ingested.added, ingested.skipped_total) == (1, 2)
    assert [photo.name for photo in albums.all_photos("Import")] == ["holiday/day 1/a.png"]
    for outside in ("../secret", str(tmp_path / "secret"), "out", "missing", "a\x00b"):
        with refused(ErrorCode.INVALID_REQUEST):
            albums.import_folder("Import", outside)


def test_the_folders_that_it_could_be(albums: AlbumClient, tmp_path: Path) -> None:
    root = tmp_path / "import"
    for name in ("holiday/day 2", "holiday/day 1", "holiday/.trash", "empty"):
        (root / name).mkdir(parents=True)
    for name in ("a.png", "b.JPG", "notes.txt", ".hidden.png"):
        (root / "holiday" / name).touch()
    (tmp_path / "secret").mkdir()
    (root / "out").symlink_to(tmp_path / "secret")
    top = albums.folders()
    assert (top.allowed, top.folders, top.total, top.pictures) == (True, ("empty", "holiday"), 2, 0)
    holiday = albums.folders("holiday")
    assert (holiday.folders, holiday.pictures) == (("day 1", "day 2"), 2)
    for outside in ("../secret", str(tmp_path / "secret"), "out", "missing", "holiday/a.png"):
        with refused(ErrorCode.INVALID_REQUEST):
            albums.folders(outside)


def test_quotas(tmp_path: Path) -> None:
    limits = AlbumLimits(albums=1, photos=2, photo_bytes=2000)
    with album_service(tmp_path, limits=limits) as service, serving_albums(service) as client:
        client.albums.create("Full")
        with refused(ErrorCode.TOO_LARGE):
            client.albums.create("Another")
        client.albums.add("Full", "a", portrait(1))
        client.albums.add("Full", "b", portrait(2))
        client.albums.add("Full", "a again", portrait(1))
        with refused(ErrorCode.TOO_LARGE):
            client.albums.add("Full", "c", portrait(3))
        with refused(ErrorCode.INVALID_IMAGE):
            client.albums.add("Full", "large", portrait(4) + bytes(2000))
        assert client.albums.remove("Full", [client.albums.photos("Full").photos[0].photo]).photos == 1
        client.albums.add("Full", "c", portrait(3))
