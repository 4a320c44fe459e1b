"""What an album refuses, over a real socket: each limit with its code and a message that names it, and nothing left."""

from __future__ import annotations

import io
import json
import struct
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath

import cv2
import numpy as np
import pytest

from facewire.client import FaceClient, ServerRefused
from facewire.client.album_client import AlbumClient
from facewire.protocol.albums.search import AlbumSample, AlbumWanted
from facewire.protocol.errors import ErrorCode
from facewire.server.albums.settings import AlbumLimits
from tests.support.albums import album_service, serving_albums
from tests.support.synthetic_engine import portrait

LIMITS = AlbumLimits(
    photos=6,
    album_bytes=20_000,
    photo_bytes=8_000,
    photo_pixels=10_000,
    zip_bytes=60_000,
    zip_entries=10,
    zip_expanded=3_000_000,
    samples=2,
    exports=2,
    skipped_listed=3,
)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FaceClient]:
    with album_service(tmp_path, limits=LIMITS) as service, serving_albums(service) as client:
        client.albums.create("Trip")
        yield client


@pytest.fixture
def albums(client: FaceClient) -> AlbumClient:
    return client.albums


def refused(code: ErrorCode, words: str) -> pytest.RaisesExc[ServerRefused]:
    return pytest.RaisesExc(ServerRefused, match=words, check=lambda error: error.code is code)


def wide(width: int, height: int) -> bytes:
    return cv2.imencode(".png", np.zeros((height, width, 3), np.uint8))[1].tobytes()


def noisy(seed: int) -> bytes:
    """A picture of some seven thousand bytes."""
    noise = np.random.default_rng(seed).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    return cv2.imencode(".png", noise)[1].tobytes()


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


class TestPhotos:
    def test_bytes(self, albums: AlbumClient) -> None:
        assert albums.add("Trip", "a", portrait(1).ljust(8_000, b"\0")).photo
        with refused(ErrorCode.INVALID_IMAGE, "8001 bytes, the limit is 8000"):
            albums.add("Trip", "b", portrait(2).ljust(8_001, b"\0"))

    def test_pixels(self, albums: AlbumClient) -> None:
        albums.add("Trip", "a", wide(100, 100))
        with refused(ErrorCode.INVALID_IMAGE, "claims 101x100 pixels, the limit is 0.01 megapixels"):
            albums.add("Trip", "b", wide(101, 100))

    def test_pixels_that_a_header_claims_and_nobody_has(self, albums: AlbumClient) -> None:
        data = bytearray(cv2.imencode(".bmp", np.zeros((10, 10, 3), np.uint8))[1].tobytes())
        struct.pack_into("<LL", data, 18, 60_000, 60_000)
        with refused(ErrorCode.INVALID_IMAGE, "claims 60000x60000 pixels"):
            albums.add("Trip", "bomb.bmp", bytes(data))

    def test_the_bytes_of_an_album(self, albums: AlbumClient) -> None:
        for number in range(2):
            albums.add("Trip", f"{number}", noisy(number))
        with refused(ErrorCode.TOO_LARGE, f"20000 bytes at most; this one has {len(noisy(0)) + len(noisy(1))}"):
            albums.add("Trip", "2", noisy(2))
        assert albums.add("Trip", "again", noisy(0)).duplicate
        albums.create("Another")
        albums.add("Another", "2", noisy(2))

    def test_the_number_of_photos(self, albums: AlbumClient) -> None:
        for number in range(6):
            albums.add("Trip", f"{number}", portrait(number))
        with refused(ErrorCode.TOO_LARGE, "6 photos at most"):
            albums.add("Trip", "6", portrait(6))


def encrypted(data: bytes) -> bytes:
    made = bytearray(data)
    made[made.index(b"PK\x01\x02") + 8] |= 1
    return bytes(made)


BOMB = {"bomb.png": bytes(2_500_000)}


class TestZips:
    @pytest.mark.parametrize(
        ("data", "code", "words"),
        [
            (b"no ZIP", ErrorCode.INVALID_REQUEST, "not a ZIP file, or a damaged one"),
            (encrypted(zipped({"a.png": portrait(1)})), ErrorCode.INVALID_REQUEST, "encrypted"),
            (zipped({f"{n}.png": b"" for n in range(11)}), ErrorCode.TOO_LARGE, "11 files, the limit is 10"),
            (zipped({f"{n}{'x' * 300}.png": b"" for n in range(40)}), ErrorCode.TOO_LARGE, "more files than the 10"),
            (zipped(BOMB, zipfile.ZIP_DEFLATED), ErrorCode.TOO_LARGE, "over 200 times its size"),
            (
                zipped(BOMB | {"b.png": bytes(900_000)}, zipfile.ZIP_LZMA),
                ErrorCode.TOO_LARGE,
                "more than 3000000 bytes",
            ),
            (bytes(60_001), ErrorCode.TOO_LARGE, "60000 bytes at most"),
            (zipped({f"{n}.png": portrait(n) for n in range(8)}), ErrorCode.TOO_LARGE, "6 photos at most"),
            (zipped({f"{n}.png": noisy(n) for n in range(4)}), ErrorCode.TOO_LARGE, "20000 bytes at most"),
        ],
    )
    def test_what_is_refused_leaves_nothing_behind(
        self, albums: AlbumClient, tmp_path: Path, data: bytes, code: ErrorCode, words: str
    ) -> None:
        with refused(code, words):
            albums.add_zip("Trip", io.BytesIO(data))
        uploads = list((tmp_path / "albums" / "uploads").iterdir())
        assert len(uploads) == (len(data) > LIMITS.zip_bytes)  # of that one, the rest could still have come
        assert not albums.status("Trip").adding
        assert albums.add("Trip", "a", portrait(0)).photo  # what was added before the quota was reached stays

    def test_what_is_passed_over_has_a_reason(self, albums: AlbumClient) -> None:
        files = {
            "inner.zip": zipped({"a.png": portrait(1)}),
            "inner.png": zipped({"b.png": portrait(2)}),
            "large.png": portrait(3).ljust(8_001, b"\0"),
            "wide.png": wide(101, 100),
            "notes.txt": b"hello",
            "good.png": portrait(4),
        }
        ingested = albums.add_zip("Trip", io.BytesIO(zipped(files)))
        assert (ingested.added, ingested.skipped_total) == (1, 5)
        reasons = {skipped.name: skipped.reason for skipped in ingested.skipped}
        assert list(reasons) == ["inner.zip", "inner.png", "large.png"]  # no more than three are listed
        assert "ZIP inside the ZIP" in reasons["inner.zip"]
        assert "unsupported image format" in reasons["inner.png"]
        assert "8001 bytes" in reasons["large.png"]

    def test_one_that_lies_about_what_it_unpacks_to(self, albums: AlbumClient) -> None:
        data = bytearray(zipped({"a.png": bytes(900_000)}, zipfile.ZIP_DEFLATED))
        struct.pack_into("<L", data, data.index(b"PK\x01\x02") + 24, 100)
        ingested = albums.add_zip("Trip", io.BytesIO(data))
        assert (ingested.added, ingested.skipped_total) == (0, 1)


EVIL_NAMES = {
    "../../up.png": "up.png",
    "/etc/root.png": "etc/root.png",
    "C:\\Windows\\drive.png": "Windows/drive.png",
    "\\\\server\\share\\unc.png": "server/share/unc.png",
    "a/../../b/./dots.png": "a/b/dots.png",
    "turn\u202egnp.exe.png": "turn_gnp.exe.png",
    "mark\u061c\u200f\u2066.png": "mark___.png",
    "bell\x07\x1b[2J.png": "bell__[2J.png",
    "line\u2028end.png": "line_end.png",
    "CON.png": "CON.png",
    "x" * 600 + ".png": "x" * 496 + ".png",
    "/".join(["deep"] * 200) + "/z.png": "/".join(["deep"] * 99) + "/z.png",
}


def by_add(albums: AlbumClient, name: str, data: bytes) -> None:
    albums.add("Trip", name, data)


def by_zip(albums: AlbumClient, name: str, data: bytes) -> None:
    albums.add_zip("Trip", io.BytesIO(zipped({name: data})))


class TestNames:
    @pytest.mark.parametrize("name", EVIL_NAMES, ids=lambda name: ascii(name)[:20])
    @pytest.mark.parametrize("bring", [by_add, by_zip])
    def test_a_name_is_only_text(
        self, albums: AlbumClient, tmp_path: Path, name: str, bring: Callable[[AlbumClient, str, bytes], None]
    ) -> None:
        before = set(tmp_path.rglob("*"))
        bring(albums, name, portrait(1))
        made = {path.relative_to(tmp_path / "albums").parts[0] for path in set(tmp_path.rglob("*")) - before}
        assert made <= {"originals", "adding"}
        assert [photo.name for photo in albums.all_photos("Trip")] == [EVIL_NAMES[name]]
        export = albums.export("Trip")
        with zipfile.ZipFile(io.BytesIO(b"".join(albums.read_export(export)))) as archive:
            for inside in archive.namelist():
                assert not inside.startswith("/")
                assert not PureWindowsPath(inside).drive
                assert not PureWindowsPath(inside).is_reserved()
                assert ".." not in inside.split("/")
                assert all(len(part.encode()) <= 255 for part in inside.split("/"))

    def test_a_nul_in_a_name(self, albums: AlbumClient) -> None:
        albums.add("Trip", "a\0b.png", portrait(1))
        data = zipped({"cXd.png": portrait(2)}).replace(b"cXd.png", b"c\0d.png")
        albums.add_zip("Trip", io.BytesIO(data))  # Python ends such a name at the NUL
        assert [photo.name for photo in albums.all_photos("Trip")] == ["a_b.png", "c"]

    def test_names_that_are_one_to_some_file_system_stay_apart(self, albums: AlbumClient) -> None:
        composed, decomposed = (unicodedata.normalize(form, "Zoë/Ångström.png") for form in ("NFC", "NFD"))
        names = [composed, decomposed, composed.upper(), "zoe\u0308/ångström.PNG", "ﬁ.png", "fi.png"]
        files = {name: portrait(number) for number, name in enumerate(names)}
        albums.add_zip("Trip", io.BytesIO(zipped(files)))
        export = albums.export("Trip", sidecars=True)
        with zipfile.ZipFile(io.BytesIO(b"".join(albums.read_export(export)))) as archive:
            inside = archive.namelist()
            labels = json.loads(archive.read("labels.json"))
            assert {archive.read(photo["file"]) for photo in labels["photos"]} == set(files.values())
        assert len({unicodedata.normalize("NFKC", name.casefold()) for name in inside}) == len(names) + 1

    @pytest.mark.parametrize("name", ["", " \t", "x" * 101, "a\0b", "a\u202eb", "a\u061cb"])
    def test_names_of_albums(self, albums: AlbumClient, name: str) -> None:
        with refused(ErrorCode.INVALID_REQUEST, "an album"):
            albums.create(name)


class TestTheRest:
    def test_samples_of_a_search(self, albums: AlbumClient) -> None:
        wanted = [AlbumWanted(tuple(AlbumSample(portrait(1)) for _ in range(3)))]
        with refused(ErrorCode.TOO_LARGE, "2 samples at most"):
            albums.search("Trip", wanted)
        with refused(ErrorCode.INVALID_IMAGE, "the limit is 0.01 megapixels"):
            albums.search("Trip", [AlbumWanted((AlbumSample(wide(101, 100)),))])

    def test_the_oldest_of_too_many_exports_makes_room(self, albums: AlbumClient) -> None:
        albums.add("Trip", "a", portrait(1))
        exports = [albums.export("Trip") for _ in range(3)]
        with refused(ErrorCode.INVALID_REQUEST, "no such export"):
            list(albums.read_export(exports[0]))
        assert all(list(albums.read_export(export)) for export in exports[1:])

    def test_an_import_that_does_not_fit(self, albums: AlbumClient, tmp_path: Path) -> None:
        for number in range(4):
            (tmp_path / "import" / f"{number}.png").write_bytes(noisy(number))
        with refused(ErrorCode.TOO_LARGE, "20000 bytes at most"):
            albums.import_folder("Trip", ".")
        assert albums.status("Trip").photos == 2
        assert not albums.status("Trip").adding
