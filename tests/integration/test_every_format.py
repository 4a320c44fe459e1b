"""Every kind of file that protocol/formats.py lists, through every door: a file is read, or that table is wrong."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from facewire.client import FaceClient
from facewire.protocol.formats import EXTENSIONS, FORMATS, format_of
from facewire.server.maintenance.create_db import main as create_db
from tests.support.pictures import animated, opened, saved
from tests.support.synthetic_engine import SyntheticEngine, portrait
from tests.support.web_server import Page, facewire_server, web_page

GREY = 41  # a colour without colour, for PGM
FACE = portrait(GREY)


def _heif(brand: bytes) -> bytes:
    """Some cameras and converters name the container, not the codec, as main brand: .heif of Nikon, .hif of Canon."""
    data = saved(opened(FACE), "HEIF", quality=95, chroma=444)
    return data[:8] + brand + data[12:]


def _two_pictures() -> bytes:
    """A stereo photo: viewers show the first."""
    first = opened(FACE)
    other = Image.new("RGB", first.size, "black")
    return saved(first, "MPO", save_all=True, append_images=[other], quality=95, subsampling=0)


def _jfif() -> bytes:
    data = saved(opened(FACE), "JPEG", quality=95, subsampling=0)
    assert data[6:10] == b"JFIF"
    return data


MAKERS: dict[str, Callable[[], bytes]] = {
    ".jpg": _jfif, ".jpeg": _jfif, ".jpe": _jfif, ".jfif": _jfif, ".mpo": _two_pictures,
    ".png": lambda: FACE, ".apng": lambda: animated(FACE, "PNG"),
    ".webp": lambda: saved(opened(FACE), "WEBP", lossless=True),
    ".bmp": lambda: saved(opened(FACE), "BMP"), ".dib": lambda: saved(opened(FACE), "BMP"),
    ".tif": lambda: saved(opened(FACE), "TIFF"), ".tiff": lambda: saved(opened(FACE), "TIFF", compression="tiff_lzw"),
    ".gif": lambda: saved(opened(FACE), "GIF"),
    ".avif": lambda: saved(opened(FACE), "AVIF", quality=95),
    ".avifs": lambda: animated(FACE, "AVIF"),
    ".heic": lambda: saved(opened(FACE), "HEIF", quality=95, chroma=444),
    ".heif": lambda: _heif(b"mif1"), ".hif": lambda: _heif(b"heix"),
    ".heics": lambda: _heif(b"msf1"), ".heifs": lambda: _heif(b"mif1"),
    ".jp2": lambda: saved(opened(FACE), "JPEG2000"), ".jpf": lambda: saved(opened(FACE), "JPEG2000"),
    ".jpx": lambda: saved(opened(FACE), "JPEG2000"),
    ".j2k": lambda: saved(opened(FACE), "JPEG2000", no_jp2=True),
    ".j2c": lambda: saved(opened(FACE), "JPEG2000", no_jp2=True),
    ".jpc": lambda: saved(opened(FACE), "JPEG2000", no_jp2=True),
    ".pgm": lambda: saved(opened(FACE).convert("L"), "PPM"),
    ".ppm": lambda: saved(opened(FACE), "PPM"), ".pnm": lambda: saved(opened(FACE), "PPM"),
}  # fmt: skip


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {extension: make() for extension, make in MAKERS.items()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> Iterator[tuple[str, int]]:
    room = tmp_path_factory.mktemp("every-format")
    folder = room / "import" / "all"
    folder.mkdir(parents=True)
    for extension, data in files.items():
        (folder / f"photo{extension.upper()}").write_bytes(data)
    with facewire_server(room, import_root=room / "import") as address:
        yield address


@pytest.fixture(scope="module")
def page(server: tuple[str, int]) -> Iterator[Page]:
    with web_page(server) as page:
        yield page


@pytest.fixture(scope="module")
def deepface(server: tuple[str, int]) -> Iterator[Page]:
    with web_page(server, deepface_api=True) as page:
        yield page


def test_there_is_a_file_of_every_kind(files: dict[str, bytes]) -> None:
    assert files.keys() == EXTENSIONS
    for form in FORMATS:
        for extension in form.extensions:
            assert format_of(files[extension]) == form, extension


@pytest.mark.parametrize("extension", sorted(MAKERS))
def test_identify_on_the_wire_the_page_and_deepfaces_api(
    server: tuple[str, int], page: Page, deepface: Page, files: dict[str, bytes], extension: str
) -> None:
    data = files[extension]
    with FaceClient(*server) as client:
        assert len(client.identify(data).faces) == 1
    status, _, body = page.visitor().send("POST", "/api/identify", data)
    assert (status, len(json.loads(body)["faces"])) == (200, 1)
    status, _, body = page.request("POST", "/api/v1/identify", data, {"Content-Type": "application/octet-stream"})
    assert (status, len(json.loads(body)["faces"])) == (200, 1)
    asked = json.dumps({"img": "data:image/any;base64," + base64.b64encode(data).decode()}).encode()
    status, _, body = deepface.request("POST", "/represent", asked, {"Content-Type": "application/json"})
    assert (status, len(json.loads(body)["results"])) == (200, 1)


def test_albums(server: tuple[str, int]) -> None:
    with FaceClient(*server) as client:
        albums = client.albums
        albums.create("All")
        added = albums.import_folder("All", "all")
        assert added.skipped_total == 0
        info = albums.process("All")
        assert info.with_faces == info.photos == added.added
        assert info.unreadable == 0


def test_create_db(tmp_path: Path, files: dict[str, bytes]) -> None:
    for extension, data in files.items():
        folder = tmp_path / "people" / extension[1:]
        folder.mkdir(parents=True)
        (folder / f"a{extension}").write_bytes(data)
    db = tmp_path / "people.db"
    arguments = [str(tmp_path / "people"), "--db", str(db), "--no-quality-gate"]
    assert create_db(arguments, open_engine=lambda choice: SyntheticEngine()) == 0
    with closing(sqlite3.connect(db)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM people")}
    assert names == {extension[1:] for extension in files}
