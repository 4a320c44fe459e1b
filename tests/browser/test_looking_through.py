"""Looking through an album: by day, by who was seen last, favourites, and many at once."""

from __future__ import annotations

from pathlib import Path

from facewire.client import FaceClient
from tests.browser.conftest import Visiting
from tests.browser.visit import Visit
from tests.support.synthetic_engine import portrait
from tests.support.web_server import facewire_server, web_page

ADA, BO = 7, 30
FILES = {
    "IMG_20240301_100000.png": ADA,
    "IMG_20240301_180000.png": ADA,
    "IMG_20240215_090000.png": BO,
    "IMG_20231224_200000.png": BO,
    "IMG_20231224_190000.png": BO,
    "whenever.png": BO,
}


def test_an_album_is_looked_through_by_day(tmp_path: Path, visiting: Visiting, axe: str) -> None:
    with facewire_server(tmp_path) as address, web_page(address) as web, FaceClient(*address) as client:
        client.albums.create("Trip")
        for shade, (name, person) in enumerate(FILES.items()):
            client.albums.add("Trip", name, portrait(person, shade=shade))
        client.albums.process("Trip")
        visit = visiting(web)
        page = visit.page
        visit.go("/album?album=Trip#/photos")
        days = [
            "Friday, March 1, 20242 photos",
            "Thursday, February 15, 20241 photo",
            "Sunday, December 24, 20232 photos",
        ]
        visit.shows(".vgrid-head", [*days, "Day unknown1 photo"])
        visit.has(".photo-tile", 6)
        titles = page.locator(".photo-tile").evaluate_all("all => all.map((one) => one.title)")
        inorder = [*list(FILES)[:3], "IMG_20231224_190000.png", "IMG_20231224_200000.png", "whenever.png"]
        assert titles == inorder
        visit.shows(".timeline button", ["Mar", "Feb", "Dec", "?"])
        assert visit.barriers(axe) == []
        page.locator(".photo-tile").first.focus()
        for _ in range(2):  # across a heading
            page.keyboard.press("ArrowRight")
        page.wait_for_function("title => document.activeElement.title === title", arg=inorder[2])
        page.get_by_label("Taken from").fill("2023-12-25")
        page.get_by_label("Taken until").fill("2024-02-29")
        visit.shows(".vgrid-head", days[1:2])
        page.get_by_label("Taken from").fill("2024-02-16")
        visit.says("No photos of these days")
        visit.named("button", "Of any day").click()
        visit.shows(".vgrid-head", [*days, "Day unknown1 photo"])
        visit.named("tab", "People").click()
        visit.shows("#view .tile-text span", ["4 photos", "2 photos"])
        page.get_by_label("Order").select_option("Last seen first")
        visit.shows("#view .tile-text span", ["2 photos, 2024-03-01", "4 photos, 2024-02-15"])
        many_are_chosen_by_keys(visit, client, axe)
        photos_fill_the_screen(visit, client)
        phone = visiting(web, "phone", has_touch=True)
        phone.go("/album?album=Trip#/photos")
        one_is_chosen_by_a_long_press(phone, client, axe)
        phone.named("button", "Dec 2023, 2 photos").click()
        phone.page.wait_for_function("() => scrollY > 0")
        assert phone.barriers(axe) == []


def many_are_chosen_by_keys(visit: Visit, client: FaceClient, axe: str) -> None:
    page, keys = visit.page, visit.page.keyboard
    page.locator("#view .tile").first.focus()
    for key in ("x", "ArrowRight", "x"):
        keys.press(key)
    visit.says("2 people chosen")
    visit.named("button", "Hide").click()
    visit.says("Everybody is hidden")
    assert client.albums.status("Trip").hidden == 2
    page.locator(".notice").last.get_by_role("button", name="Undo").click()
    page.locator("#view .tile").nth(1).wait_for()
    visit.named("tab", "Photos").click()
    page.locator(".photo-tile").nth(5).wait_for()
    page.locator(".photo-tile").first.focus()
    for key in ("x", "ArrowRight", "ArrowRight", "Shift+X"):
        keys.press(key)
    visit.says("3 photos chosen")
    assert visit.barriers(axe) == []
    page.locator(".photo-tile").nth(1).click()  # while some are chosen, a click chooses
    visit.says("2 photos chosen")
    visit.named("button", "Favourites", exact=True).click()
    visit.named("button", "Favourites 2").click()
    visit.shows(".vgrid-head", ["Friday, March 1, 20241 photo", "Thursday, February 15, 20241 photo"])
    page.locator(".photo-tile[data-favourite]").nth(1).wait_for()
    assert [one.favourite for one in client.albums.all_photos("Trip", order="days")] == [
        True,
        False,
        True,
        *[False] * 3,
    ]


def photos_fill_the_screen(visit: Visit, client: FaceClient) -> None:
    page, keys = visit.page, visit.page.keyboard
    page.locator(".photo-tile").first.click()
    visit.says("1 of 2 photos")
    keys.press("*")
    page.locator(".lightbox [aria-label='A favourite'][aria-pressed=false]").wait_for()
    keys.press("f")
    page.wait_for_function("() => document.fullscreenElement?.className === 'lightbox-view'")
    keys.press("f")
    page.wait_for_function("() => !document.fullscreenElement")
    keys.press("p")
    visit.says("2 of 2 photos")
    keys.press("Escape")
    page.locator(".lightbox").wait_for(state="detached")
    assert client.albums.status("Trip").favourites == 1


def one_is_chosen_by_a_long_press(phone: Visit, client: FaceClient, axe: str) -> None:
    tile = phone.page.locator(".photo-tile").last
    tile.scroll_into_view_if_needed()
    place = tile.bounding_box()
    assert place is not None
    touch = phone.context.new_cdp_session(phone.page)
    at = {"x": place["x"] + place["width"] / 2, "y": place["y"] + place["height"] / 2}
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    phone.says("1 photo chosen")
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert phone.barriers(axe) == []
    phone.named("button", "Remove …").click()
    phone.named("button", "Remove 1 photo").click()
    phone.says("1 photo removed.")
    assert "whenever.png" not in {one.name for one in client.albums.all_photos("Trip")}
