"""Naming people: the queue by keys alone, and names given where people are shown."""

from __future__ import annotations

from pathlib import Path

from facewire.client import FaceClient
from tests.browser.conftest import Visiting
from tests.support.synthetic_engine import portrait
from tests.support.web_server import facewire_server, web_page

ADA, TWIN, CLEO, PASSER, GUEST, BO = 44, 39, 7, 30, 52, 15
"""Colours; Ada and her twin are so alike that they may be one person."""
PHOTOS = {ADA: 6, TWIN: 5, CLEO: 4, PASSER: 3, GUEST: 2, BO: 1}


def test_people_are_named_by_keys_alone_and_where_they_are_shown(tmp_path: Path, visiting: Visiting, axe: str) -> None:
    with facewire_server(tmp_path) as address, web_page(address) as web, FaceClient(*address) as client:
        client.enrol("Cleo", portrait(CLEO, shade=99), label="cleo.png")
        client.albums.create("Trip")
        for person, photos in PHOTOS.items():
            for shade in range(photos):
                client.albums.add("Trip", f"{person} {shade}.png", portrait(person, shade=shade))
        client.albums.process("Trip")
        visit = visiting(web)
        page, keys = visit.page, visit.page.keyboard
        visit.go("/album?album=Trip#/naming")
        visit.says("In 6 photos · 6 people to name")
        page.locator(".naming-strip img").nth(4).wait_for()
        page.wait_for_function("() => document.activeElement.name === 'name'")
        assert visit.barriers(axe) == []
        keys.type("Ada-Lou?")  # keys mean something only where nothing is typed
        keys.press("Enter")
        visit.says("In 5 photos · 5 people to name")
        page.locator(".naming-names .button", has_text="Ada-Lou?").wait_for()
        keys.press("1")  # the twin is Ada, too
        visit.says("In 4 photos · 4 people to name")
        # the gallery knows her
        page.wait_for_function("() => document.querySelector('.naming input')?.value === 'Cleo'")
        page.locator(".naming-names .button", has_text="in the gallery").wait_for()
        keys.press("Enter")
        visit.says("In 3 photos · 3 people to name")
        keys.press("?")
        visit.says("In 2 photos · 2 people to name")
        visit.says("Nobody knows")
        keys.press("Control+Z")
        visit.says("In 3 photos · 3 people to name")
        keys.press("PageDown")  # later
        visit.says("In 2 photos · 3 people to name")
        keys.press("-")
        visit.says("In 1 photo · 2 people to name")
        keys.type("LÓU")
        page.get_by_role("option", name="Ada-Lou?").wait_for()
        keys.press("ArrowDown")
        page.locator("[role=option][aria-selected=true]").wait_for()
        assert visit.barriers(axe) == []
        keys.press("Escape", delay=20)
        page.locator(".name-list").wait_for(state="hidden")
        keys.press("Control+A")
        keys.type("Bo")
        keys.press("Enter")
        visit.named("button", "Go on with them").click()
        visit.says("In 3 photos · 1 person to name")
        keys.press("?")
        visit.says("Nobody left to name")
        visit.says("Nobody knows")  # answers are sent while the page goes on
        people = client.albums.people("Trip", order="photos").people
        assert [(one.name, one.photos, one.stranger) for one in people] == [
            ("Ada-Lou?", 11, False),
            ("Cleo", 4, False),
            (None, 3, True),
            ("Bo", 1, False),
        ]
        assert client.albums.status("Trip").hidden == 1
        phone = visiting(web, "phone", has_touch=True)
        phone.go("/album?album=Trip#/people")
        phone.page.locator("#view .tile").nth(3).wait_for()
        phone.named("button", "Name: Nobody you know").click()
        phone.page.get_by_label("Name", exact=True).fill("Pat")
        phone.page.keyboard.press("Enter")
        phone.page.locator("#view .tile", has_text="Pat").wait_for()
        phone.leave()
        photo = next(one.photo for one in client.albums.all_photos("Trip") if one.name == f"{GUEST} 0.png")
        phone.go(f"/album?album=Trip#/photos/{photo}")
        phone.named("button", "Name the faces").click()
        phone.page.get_by_label("Name", exact=True).fill("Guest")
        assert phone.barriers(axe) == []
        phone.page.keyboard.press("Enter")
        phone.page.locator(".box-label", has_text="Guest").wait_for()
        assert {one.name for one in client.albums.all_people("Trip", hidden=True)} == {"Guest"}
