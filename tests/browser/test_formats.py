"""What the page takes: every format by its name or its first bytes, and it says what it leaves out."""

from __future__ import annotations

from pathlib import Path

from facewire.client import FaceClient
from tests.browser.conftest import Visiting
from tests.support.pictures import opened, saved
from tests.support.synthetic_engine import portrait
from tests.support.waiting import eventually
from tests.support.web_server import Page, facewire_server, web_page

LEFT_OUT = "Left out 2 files that are not a picture: film.mp4, notes.txt."
LEFT_OUT_OF_ALBUMS = "Left out 1 file that is not a picture: notes.txt."  # which keep films


def files(folder: Path) -> list[Path]:
    folder.mkdir()
    (folder / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    (folder / "notes.txt").write_bytes(b"BM, he said")
    (folder / "called_like_nothing").write_bytes(portrait(5))
    (folder / "a.HIF").write_bytes(saved(opened(portrait(7)), "HEIF", quality=95, chroma=444))
    (folder / "b.avif").write_bytes(saved(opened(portrait(9)), "AVIF", quality=100, subsampling="4:4:4"))
    return sorted(folder.iterdir())


def test_an_album(visiting: Visiting, tmp_path: Path) -> None:
    with facewire_server(tmp_path) as address, web_page(address) as web, FaceClient(*address) as client:
        client.albums.create("Trip")
        visit = visiting(web)
        visit.go("/album?album=Trip")
        visit.says("Add photos")
        visit.page.set_input_files("#choose-files", files(tmp_path / "photos"))
        visit.says(LEFT_OUT_OF_ALBUMS)
        visit.says("film.mp4")  # a file of that kind, but broken: it is refused by name
        assert eventually(lambda: client.albums.status("Trip").with_faces == 3)


def test_identify(web: Page, visiting: Visiting, tmp_path: Path) -> None:
    visit = visiting(web)
    visit.go("/identify")
    visit.says("Choose pictures")
    visit.page.set_input_files("#files", files(tmp_path / "photos"))
    visit.says(LEFT_OUT)
    visit.says("1 face")
