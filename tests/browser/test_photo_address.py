"""A photo has an address: Back closes it, a link opens it, a reload stays."""

from __future__ import annotations

import re

import pytest

from tests.browser.conftest import Visiting
from tests.browser.visit import Visit
from tests.support.web_server import Page

PHOTOS = "/album?album=Trip#/photos"


def fragment(visit: Visit) -> str:
    return visit.page.url.partition("#")[2]


def opened(visit: Visit, name: str) -> None:
    """Waits until this photo is shown."""
    visit.page.locator(".lightbox-bar", has_text=name).wait_for()


def closed(visit: Visit) -> None:
    visit.page.locator(".lightbox").wait_for(state="detached")
    visit.page.wait_for_function("() => !/\\d$/.test(location.hash) || location.hash.includes('person')")


def test_back_closes_it_and_forward_opens_it(full: Page, visiting: Visiting) -> None:
    visit = visiting(full)
    visit.go(PHOTOS)
    visit.page.locator(".photo-tile").first.click()
    opened(visit, "ada.png")
    first = fragment(visit)
    visit.page.keyboard.press("ArrowRight")
    opened(visit, "both.png")
    second = fragment(visit)
    assert first != second
    visit.page.go_back()
    closed(visit)
    assert fragment(visit) == "/photos"
    visit.page.locator(".photo-tile").first.wait_for()
    visit.page.go_forward()
    opened(visit, "both.png")
    assert fragment(visit) == second


def test_closing_it_takes_its_address_back(full: Page, visiting: Visiting) -> None:
    """And leaves no entry in the history: Back leads to where the person came from."""
    visit = visiting(full)
    visit.go("/albums")
    visit.page.locator(".album-card >> text=Trip").wait_for()
    visit.go(PHOTOS)
    for _ in range(2):
        visit.page.locator(".photo-tile").first.click()
        opened(visit, "ada.png")
        visit.named("button", "Close").click()
        closed(visit)
    assert fragment(visit) == "/photos"
    visit.page.go_back()
    visit.page.locator(".album-card >> text=Trip").wait_for()


@pytest.mark.parametrize("view", ["#/photos", "#/person/1"])
def test_a_reload_stays_and_a_link_opens(full: Page, visiting: Visiting, view: str) -> None:
    visit = visiting(full)
    visit.go(f"/album?album=Trip{view}")
    visit.page.get_by_label(re.compile("^both.png")).click()
    opened(visit, "both.png")
    address = fragment(visit)
    visit.page.reload()
    opened(visit, "both.png")
    assert fragment(visit) == address
    visit.page.keyboard.press("Escape")
    closed(visit)
    assert fragment(visit) == view.removeprefix("#")
    visit.leave()
    visit.go(f"/album?album=Trip#{address}")
    opened(visit, "both.png")
    visit.page.locator(".lightbox .box").first.wait_for()


def test_a_photo_that_is_gone(full: Page, visiting: Visiting) -> None:
    visit = visiting(full)
    visit.go(f"{PHOTOS}/999")
    visit.says("This photo is gone.")
    assert fragment(visit) == "/photos"


def test_back_from_a_person_leads_to_the_photo(full: Page, visiting: Visiting) -> None:
    visit = visiting(full)
    visit.go(PHOTOS)
    visit.page.locator(".photo-tile").first.click()
    opened(visit, "ada.png")
    visit.page.locator(".lightbox .box").first.click()
    visit.page.locator(".person-head").wait_for()
    visit.page.go_back()
    opened(visit, "ada.png")
