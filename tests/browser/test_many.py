"""Hundreds of photos: few are held, each is shown once, and the last can be reached by wheel, key and jump.

tests/browser/ten_thousand.py does the same with ten thousand, and measures.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from facewire.client import FaceClient
from tests.browser.conftest import WIDTHS, Visiting
from tests.browser.scrolling import Traffic, scroll_through
from tests.support.synthetic_engine import draw, portrait
from tests.support.web_server import Page, facewire_server, web_page

MANY = 600
MOST_TILES = {"desktop": 260, "phone": 100}  # three or four chunks of eight rows
MOST_NODES = 3000
MOST_REQUESTS = 300  # the thumbnails near the screen, and the pages of the list


def small_photo(number: int) -> bytes:
    """A picture of its own, of a kilobyte."""
    return draw(size=(64, 48), extension=".jpg", shade=number + 1)


def fill(client: FaceClient, album: str, photos: int) -> None:
    """A new album of that many, by ZIP."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(photos):
            archive.writestr(f"{number:05d}.jpg", small_photo(number))
    packed.seek(0)
    client.albums.create(album)
    assert client.albums.add_zip(album, packed).added == photos


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """An album of many photos, none looked at yet."""
    with facewire_server(tmp_path_factory.mktemp("many")) as address:
        with FaceClient(*address, timeout=300) as client:
            fill(client, "Many", MANY)
        with web_page(address) as web:
            yield web


@pytest.mark.parametrize("width", WIDTHS)
def test_every_photo_is_seen_once_and_few_are_held(many: Page, visiting: Visiting, width: str) -> None:
    visit = visiting(many, width)
    traffic = Traffic()
    traffic.listen(visit.page)
    visit.go("/album?album=Many#/photos")
    visit.page.locator(".photo-tile img").first.wait_for()
    seen = scroll_through(visit.page)
    assert seen.doubles == set()
    assert seen.places == {number + 1: f"{number:05d}.jpg" for number in range(MANY)}
    assert seen.most_tiles <= MOST_TILES[width]
    assert seen.most_nodes <= MOST_NODES
    assert traffic.most <= MOST_REQUESTS
    back = scroll_through(visit.page, share=4)  # faster than it can load: what was passed is given up
    assert back.doubles == set()
    assert back.most_tiles <= MOST_TILES[width]


def test_any_place_is_one_jump_away(many: Page, visiting: Visiting) -> None:
    visit = visiting(many)
    page = visit.page
    visit.go("/album?album=Many#/photos")
    page.locator(".photo-tile img").first.wait_for()
    page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight / 2)")
    page.get_by_role("button", name="00300.jpg").wait_for()
    page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
    last = page.get_by_role("button", name="00599.jpg")
    last.wait_for()
    last.click()
    visit.says("600 of 600 photos")
    page.keyboard.press("Home")
    visit.says("1 of 600 photos")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_last_is_reached_by_keyboard(many: Page, visiting: Visiting, width: str) -> None:
    visit = visiting(many, width)
    page = visit.page
    visit.go("/album?album=Many#/photos")
    page.locator(".photo-tile").first.focus()

    def focused_is(number: int) -> None:
        page.wait_for_function("name => document.activeElement.title === name", arg=f"{number:05d}.jpg")

    columns = int(page.evaluate("() => document.querySelector('.vgrid').style.getPropertyValue('--columns')"))
    for key, number in (("ArrowRight", 1), ("ArrowDown", 1 + columns), ("ArrowLeft", columns), ("ArrowUp", 0)):
        page.keyboard.press(key)
        focused_is(number)
    page.keyboard.press("End")
    focused_is(MANY - 1)
    page.keyboard.press("ArrowRight")  # there is nothing beyond
    focused_is(MANY - 1)
    page.keyboard.press("Home")
    focused_is(0)
    for _ in range(MANY):  # never past the end
        page.keyboard.press("PageDown")
        page.wait_for_function("() => document.activeElement.matches('.photo-tile')")
        if page.evaluate("() => document.activeElement.title") == f"{MANY - 1:05d}.jpg":
            break
    focused_is(MANY - 1)
    assert page.locator(".photo-tile").count() <= MOST_TILES[width]
    page.keyboard.press("Enter")
    visit.says("600 of 600 photos")
    page.keyboard.press("Escape")
    focused_is(MANY - 1)  # where it was
    page.keyboard.press("Home")
    focused_is(0)
    page.keyboard.press("Shift+Tab")
    assert "Skip 600 entries" in page.evaluate("() => document.activeElement.textContent")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.closest('.vgrid') === null")


def test_a_part_that_could_not_be_loaded_says_so_and_comes_when_asked(many: Page, visiting: Visiting) -> None:
    visit = visiting(many)
    page = visit.page
    visit.refusals = {500}
    visit.go("/album?album=Many#/photos")
    page.locator(".photo-tile img").first.wait_for()
    page.route("**/api/op/album.photos", lambda route: route.fulfill(status=500, body="no JSON"))
    page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
    visit.says("The page's gateway failed (500)")
    page.unroute("**/api/op/album.photos")
    page.locator(".vgrid-failed").last.get_by_role("button", name="Try again").click()
    page.get_by_role("button", name="00599.jpg").wait_for()


def test_more_albums_than_a_page_of_them(web: Page, visiting: Visiting) -> None:
    visitor = web.visitor()
    for number in range(103):
        assert visitor.op("album.create", album=f"Album {number:03d}")[0] == 200
    visit = visiting(web)
    visit.go("/albums")
    visit.says("103 albums")
    visit.has(".album-card", 100)
    visit.named("button", "Show 3 more").click()
    visit.page.locator(".album-card").nth(102).wait_for()
    names = visit.page.locator(".album-card h2").all_inner_texts()
    assert sorted(names) == [f"Album {number:03d}" for number in range(103)]
    visit.has(visit.named("button", "Show"), 0)


def test_more_people_than_a_page_of_them(tmp_path: Path, visiting: Visiting) -> None:
    """Of the gallery: the list is asked for as somebody scrolls."""
    with facewire_server(tmp_path) as address:
        with FaceClient(*address, timeout=300) as client:
            for number in range(150):
                client.enrol(f"Person {number:03d}", portrait(number, shade=number + 1), accept=["all"])
        with web_page(address) as web:
            visit = visiting(web)
            visit.go("/people")
            visit.says("150 people")
            visit.page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
            last = visit.page.locator(".tile", has_text="Person 149")
            last.wait_for()
            last.locator("img").wait_for()
