"""From an empty server to a downloaded ZIP, as one person does it: on a wide screen and on a phone."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.browser.conftest import WIDTHS, Visiting
from tests.browser.visit import Visit
from tests.support.synthetic_engine import draw, portrait
from tests.support.web_server import Page

ADA, BO, CLEO = 7, 30, 52
LEFT, RIGHT = (4.0, 8.0, 22.0, 24.0), (36.0, 8.0, 22.0, 24.0)


@pytest.fixture
def holiday(tmp_path: Path) -> Path:
    """A folder with folders: Ada alone and with Bo, Bo with Cleo, a view, and a file that is no photo."""
    root = tmp_path / "Holiday"
    photos = {
        "first day/ada.png": portrait(ADA),
        "first day/ada and bo.png": draw((ADA, LEFT), (BO, RIGHT)),
        "second day/bo.png": portrait(BO),
        "second day/bo and cleo.png": draw((BO, LEFT), (CLEO, RIGHT)),
        "second day/view.png": draw(),
        "second day/broken.jpg": b"\xff\xd8\xff and nothing more",
    }
    for name, data in photos.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


@pytest.mark.parametrize("width", WIDTHS)
def test_the_whole_story(web: Page, visiting: Visiting, axe: str, holiday: Path, tmp_path: Path, width: str) -> None:
    visit = visiting(web, width)
    visit.refusals = {422}  # the broken photo
    nobody_is_known_yet(visit, axe)
    a_stranger_gets_a_name(visit, axe, tmp_path)
    the_gallery_is_put_right(visit, axe)
    an_album_is_filled(visit, axe, holiday)
    its_people_are_sorted(visit, axe)
    its_photos_are_looked_at(visit, axe)
    somebody_is_found(visit, axe, tmp_path)
    everything_is_taken_home(visit, holiday, tmp_path)


def nobody_is_known_yet(visit: Visit, axe: str) -> None:
    visit.go("/people")
    visit.says("Nobody is enrolled yet")
    assert visit.barriers(axe) == []
    visit.go("/albums")
    visit.says("No album yet")
    assert visit.barriers(axe) == []
    visit.go("/")
    visit.says("Faces appear here")
    assert visit.barriers(axe) == []


def a_stranger_gets_a_name(visit: Visit, axe: str, room: Path) -> None:
    page = visit.page
    both = room / "both.png"
    both.write_bytes(draw((ADA, LEFT), (BO, RIGHT)))
    page.set_input_files("#files", [both])
    visit.shows(".face strong", ["Nobody known", "Nobody known"])
    for place, name in ((0, "Ada Lovelace"), (1, "Bo")):
        page.locator(".box").nth(place).click()
        page.get_by_label("Enrol this face as").fill(name)
        visit.named("button", "Enrol", exact=True).click()
        page.locator(".face strong", has_text=name).wait_for()
    visit.shows(".face .badge", ["match", "match"])
    page.locator(".box").first.focus()
    page.locator(".box[aria-label*='Ada Lovelace, match']").first.wait_for()
    assert visit.barriers(axe) == []


def the_gallery_is_put_right(visit: Visit, axe: str) -> None:
    page = visit.page
    visit.named("link", "People", exact=True).click()
    visit.shows(".tile strong", ["Ada Lovelace", "Bo"])
    assert visit.barriers(axe) == []
    page.get_by_label("Search by name").fill("LOVE")
    page.locator("#count", has_text="1 person").wait_for()
    visit.shows(".tile strong", ["Ada Lovelace"])
    page.locator(".tile").click()
    visit.named("button", "Rename", exact=True).click()
    assert visit.barriers(axe) == []
    page.get_by_label("New name").fill("Augusta Ada King")
    visit.named("dialog", "Rename Ada Lovelace").get_by_role("button", name="Rename").click()
    page.locator("h1", has_text="Augusta Ada King").wait_for()
    page.locator(".notice").get_by_role("button", name="Undo").click()
    page.locator("h1", has_text="Ada Lovelace").wait_for()
    page.get_by_label("Choose both.png").check()
    assert visit.barriers(axe) == []
    visit.named("button", "Somebody else").click()
    page.get_by_label("Name").fill("Cleo")
    visit.named("button", "Move", exact=True).click()
    visit.says("No faces left")
    visit.named("link", "People", exact=True).first.click()
    page.locator(".tile", has_text="Cleo").wait_for()
    visit.named("button", "Undo").first.click()
    page.locator(".tile", has_text="Ada Lovelace").get_by_text("1 face").wait_for()
    page.locator(".tile", has_text="Cleo").wait_for(state="detached")
    visit.drag(page.locator(".tile", has_text="Bo"), page.locator(".tile", has_text="Ada Lovelace"))
    visit.named("button", "Merge them").click()
    page.locator(".tile", has_text="Bo").wait_for(state="detached")
    page.locator(".tile", has_text="Ada Lovelace").get_by_text("2 faces").wait_for()
    page.locator(".notice").last.get_by_role("button", name="Undo").click()
    page.locator(".tile", has_text="Bo").wait_for()


def an_album_is_filled(visit: Visit, axe: str, folder: Path) -> None:
    page = visit.page
    visit.named("link", "Albums", exact=True).click()
    page.get_by_label("Name of a new album").fill("Holiday")
    visit.named("button", "Create").click()
    visit.says("This album is empty")
    assert visit.barriers(axe) == []
    if visit.is_firefox:  # which can be handed files from outside, but no folder
        page.set_input_files("#choose-files", [path for path in folder.rglob("*") if path.is_file()])
    else:
        page.set_input_files("#choose-folder", folder)
    visit.says("1 file not taken")
    visit.says("3 people")
    page.locator("#view .tile").nth(2).wait_for()
    assert visit.barriers(axe) == []


def its_people_are_sorted(visit: Visit, axe: str) -> None:
    page = visit.page
    visit.shows("#view .tile-text span", ["3 photos", "2 photos", "1 photo"])
    visit.named("button", "Take 2 names from the gallery").click()
    visit.named("button", "Name 2 people").click()
    page.locator("#view .tile", has_text="Ada Lovelace").wait_for()
    page.locator("#view .tile", has_text="Not named yet").click()
    page.get_by_label("Name", exact=True).fill("Cleo")
    visit.named("button", "Name", exact=True).click()
    visit.named("button", "Enrol in the gallery").wait_for()
    assert visit.barriers(axe) == []
    visit.named("button", "Enrol in the gallery").click()
    visit.says("Identify knows them now")
    visit.named("tab", "People").click()
    # One person dropped on another, and taken back
    visit.drag(page.locator("#view .tile", has_text="Cleo"), page.locator("#view .tile", has_text="Ada Lovelace"))
    visit.named("button", "Merge them").click()
    page.locator("#view .tile", has_text="Cleo").wait_for(state="detached")
    page.locator(".head-tools").get_by_role("button", name="Undo").click()
    page.locator("#view .tile", has_text="Cleo").wait_for()
    # "Not this person": the face leaves, and comes back
    page.locator("#view .tile", has_text="Ada Lovelace").click()
    page.get_by_label("Choose this face").first.check()
    assert visit.barriers(axe) == []
    visit.named("button", "Not Ada Lovelace").click()
    visit.says("1 face in 1 photo")
    page.locator(".notice").last.get_by_role("button", name="Undo").click()
    visit.says("2 faces in 2 photos")
    visit.named("tab", "Same person?").click()
    page.locator("#view .state").wait_for()  # they are nothing alike; test_same_person.py is about those who are
    visit.has("#view .suggestion", 0)
    assert visit.barriers(axe) == []


def its_photos_are_looked_at(visit: Visit, axe: str) -> None:
    page = visit.page
    visit.named("tab", "Photos").click()
    page.locator(".photo-tile").nth(4).wait_for()
    assert visit.barriers(axe) == []
    visit.named("button", "Without faces 1").click()
    page.locator(".photo-tile .tile-note", has_text="no face").wait_for()
    visit.has(".photo-tile", 1)
    visit.named("button", "All 5").click()
    page.locator(".photo-tile").nth(1).wait_for()
    page.locator(".photo-tile").nth(0).press("Enter")
    page.locator(".lightbox .box").first.wait_for()
    first = page.locator(".lightbox-bar p").inner_text()
    assert visit.barriers(axe) == []
    page.keyboard.press("ArrowRight")
    page.wait_for_function("before => document.querySelector('.lightbox-bar p').innerText !== before", arg=first)
    page.keyboard.press("+")
    page.locator(".lightbox-view[data-zoomed]").wait_for()
    page.keyboard.press("b")
    page.keyboard.press("Escape")
    page.locator(".lightbox").wait_for(state="detached")


def somebody_is_found(visit: Visit, axe: str, room: Path) -> None:
    page = visit.page
    selfie = room / "selfie.png"
    selfie.write_bytes(draw((CLEO, (2.0, 6.0, 28.0, 30.0)), (ADA, RIGHT)))  # the larger face comes first
    visit.named("tab", "Find somebody").click()
    page.get_by_label("Pictures of somebody to find").set_input_files(selfie)
    visit.says("3 photos")
    visit.named("button", "Included; click to leave this face out").nth(1).click()
    visit.says("1 of 2 faces included")
    visit.says("1 photo")
    assert visit.barriers(axe) == []
    with page.expect_download() as caught:
        visit.named("button", "Download these").click()
    with zipfile.ZipFile(caught.value.path()) as archive:
        assert any(name.endswith("bo and cleo.png") for name in archive.namelist())


def everything_is_taken_home(visit: Visit, folder: Path, room: Path) -> None:
    page = visit.page
    with page.expect_download() as caught:
        visit.named("button", "Download the album as a ZIP").click()
    with zipfile.ZipFile(caught.value.path()) as archive:
        got = {archive.read(name) for name in archive.namelist()}
    photos = {path.read_bytes() for path in folder.rglob("*.png")}
    assert photos <= got
