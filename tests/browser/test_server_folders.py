"""A folder of the server's own disk, chosen and imported in the page; not offered where the server allows none."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tests.browser.conftest import Visiting
from tests.support.synthetic_engine import portrait
from tests.support.web_server import Page, facewire_server, web_page


def test_a_folder_is_chosen_and_its_people_show_up(tmp_path: Path, visiting: Visiting, axe: str) -> None:
    folder = tmp_path / "camera" / "holiday" / "day 1"
    folder.mkdir(parents=True)
    (folder / "ada.png").write_bytes(portrait(7))
    (folder / "bo.png").write_bytes(portrait(30))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff and nothing more")
    (tmp_path / "served").mkdir()
    with facewire_server(tmp_path / "served", import_root=tmp_path / "camera") as address, web_page(address) as web:
        assert web.visitor().op("album.create", album="Trip")[0] == 200
        visit = visiting(web, "phone")
        visit.go("/album?album=Trip")
        visit.says("This album is empty")
        visit.named("button", "From the server").click()
        visit.says("0 pictures and 1 folder in here")
        visit.named("button", "holiday").click()
        visit.says("0 pictures and 1 folder in here.")
        visit.named("button", "day 1").click()
        visit.says("3 pictures and 0 folders in here")
        assert visit.barriers(axe) == []
        visit.named("button", "holiday").click()  # one up
        visit.says("0 pictures and 1 folder in here")
        visit.named("button", "Import this folder").click()
        visit.says("2 photos imported")
        visit.says("1 file not taken, holiday/day 1/broken.jpg")
        visit.page.locator("#view .tile").nth(1).wait_for()
        visit.page.locator("#count", has_text="2 photos").wait_for()


def test_a_server_that_allows_none_offers_none(web: Page, visiting: Visiting) -> None:
    assert web.visitor().op("album.create", album="Trip")[0] == 200
    visit = visiting(web)
    with visit.page.expect_response("**/api/op/album.folders"):
        visit.go("/album?album=Trip")
    visit.says("This album is empty")
    visit.named("button", "Add a folder").first.wait_for()
    visit.has(visit.named("button", "From the server"), 0)


def test_an_import_that_was_cut_off_goes_on_when_told(tmp_path: Path, visiting: Visiting) -> None:
    folder = tmp_path / "camera"
    folder.mkdir()
    (folder / "ada.png").write_bytes(portrait(7))
    (tmp_path / "served").mkdir()
    with contextlib.ExitStack() as served:
        address = served.enter_context(facewire_server(tmp_path / "served", import_root=folder))
        with web_page(address) as web:
            assert web.visitor().op("album.create", album="Trip")[0] == 200
            visit = visiting(web)
            visit.refusals = {503}
            visit.go("/album?album=Trip")
            visit.named("button", "From the server").click()
            visit.says("1 picture and 0 folders in here")
            served.close()
            visit.named("button", "Import this folder").click()
            visit.says("The import stopped")
            visit.says("What was added is kept.")
            served.enter_context(facewire_server(tmp_path / "served", port=address[1], import_root=folder))
            visit.named("button", "Continue").click()
            visit.says("1 photo imported.")
            visit.page.locator("#view .tile").wait_for()
