"""Identify keeps its pictures through links, Back and a reload, until they are taken out."""

from __future__ import annotations

from playwright.sync_api import FilePayload

from tests.browser.conftest import Visiting
from tests.browser.furnished import BOTH
from tests.support.synthetic_engine import portrait
from tests.support.web_server import Page

NAME = "\u05d0\u05d3\u05d4 2"  # Hebrew and a digit: it would turn the words around it


def png(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": data}


def test_pictures_stay_until_taken_out(web: Page, visiting: Visiting) -> None:
    visitor = web.visitor()
    assert visitor.send("POST", "/api/enrol?name=%D7%90%D7%93%D7%94%202", portrait(7))[0] == 200
    visit = visiting(web)
    visit.refusals = {422}
    page = visit.page
    visit.go("/identify")
    page.set_input_files("#files", [png("both.png", BOTH), png("broken.png", b"no picture")])
    visit.shows(".face .badge", ["match", "unknown"])
    page.locator(".face-name bdi", has_text=NAME).first.wait_for()
    visit.named("button", "broken.png: failed").click()
    visit.says("That didn't work")
    visit.says("The browser can't show broken.png.")
    visit.has(".box, .face", 0)
    visit.shows("#stage-facts", [""])
    visit.named("button", "both.png: 2 faces").click()
    visit.shows(".face .badge", ["match", "unknown"])

    visit.named("link", "People").click()
    page.locator(".tile bdi").wait_for()
    page.go_back()
    visit.shows(".face .badge", ["match", "unknown"])
    visit.has("#strip li", 2)
    visit.named("button", "Take broken.png out").click()
    visit.has("#strip li", 1)
    page.reload()
    visit.shows(".face .badge", ["match", "unknown"])
    visit.has("#strip li", 1)
    visit.named("button", "Take both.png out").click()
    visit.says("Who is in this picture?")
    page.reload()
    visit.says("Who is in this picture?")
    visit.has("#strip li", 0)
