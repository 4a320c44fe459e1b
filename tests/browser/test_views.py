"""What can happen to a view: no server, a hostile name, a token, the camera, no mouse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from facewire.client import FaceClient
from tests.browser.conftest import WIDTHS, Visiting
from tests.browser.visit import Visit
from tests.support.synthetic_engine import draw, portrait
from tests.support.web_server import Page, facewire_server, web_page

if TYPE_CHECKING:
    from playwright.sync_api import Route

HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.mark.parametrize("width", WIDTHS)
def test_without_a_server_every_view_says_so_and_goes_on_when_it_is_back(
    tmp_path: Path, visiting: Visiting, axe: str, width: str
) -> None:
    with facewire_server(tmp_path) as address:
        pass  # the port is free now
    with web_page(address) as web:
        visit = visiting(web, width)
        visit.refusals = {503}
        for path in ("/identify", "/people", "/person?name=Ada", "/albums", "/album?album=Trip"):
            visit.go(path)
            visit.says(f"python server_app.py --port {address[1]}")
            assert visit.barriers(axe) == []
        visit.refusals |= {404}
        visit.go("/people")
        visit.says("The server can't be reached")
        with facewire_server(tmp_path, port=address[1]):
            visit.says("Nobody is enrolled yet")
            visit.page.locator("#offline").wait_for(state="hidden")


def test_a_view_that_loses_its_server_keeps_what_it_shows(tmp_path: Path, visiting: Visiting) -> None:
    with facewire_server(tmp_path) as address:
        with FaceClient(*address) as client:
            client.enrol("Ada", portrait(7))
        with web_page(address) as web:
            visit = visiting(web)
            visit.refusals = {503}
            visit.go("/people")
            visit.shows(".tile strong", ["Ada"])
    # Both are gone now: the page says which of its programs to start
    visit.page.get_by_label("Search by name").fill("a")
    visit.says("The page has lost its gateway")


@pytest.mark.parametrize(
    ("view", "button"), [("identify", "Use the camera"), ("people", "Enrol somebody"), ("albums", "Create")]
)
def test_buttons_wait_for_the_script_that_listens_to_them(
    web: Page, visiting: Visiting, view: str, button: str
) -> None:
    """Pressed before, "Create" would send the form to nowhere, and the name would be gone."""
    visit = visiting(web)
    held: list[Route] = []
    visit.page.route(f"**/static/*/js/{view}.js", lambda route: held.append(route))
    with visit.page.expect_request(f"**/static/*/js/{view}.js"):
        visit.page.goto(f"{web.url}/{view}", wait_until="commit")
    visit.named("button", button).first.wait_for()
    assert visit.named("button", button).first.is_disabled()
    held[0].continue_()
    visit.named("button", button).first.click(trial=True)


def test_a_hostile_name_stays_a_name(web: Page, visiting: Visiting) -> None:
    visitor = web.visitor()
    assert visitor.send("POST", f"/api/enrol?name={quote(HOSTILE)}", portrait(7))[0] == 200
    assert visitor.op("album.create", album=HOSTILE)[0] == 200
    visit = visiting(web)
    visit.refusals = {404}
    for path in ("/people", "/albums", f"/person?name={quote(HOSTILE)}", f"/album?album={quote(HOSTILE)}"):
        visit.go(path)
        visit.page.get_by_text(HOSTILE, exact=True).first.wait_for()
        assert visit.page.locator("img[src=x]").count() == 0


def test_the_camera(web: Page, visiting: Visiting, axe: str) -> None:
    visit = visiting(web)
    visit.go("/identify")
    visit.named("button", "Use the camera").first.click()
    visit.shows(".face .badge", ["unknown"])
    visit.page.get_by_label("Enrol this face as").fill("Grace Hopper")
    visit.page.keyboard.press("Enter")
    visit.shows(".face strong", ["Grace Hopper"])  # at once, though the field has the focus
    visit.shows(".face .badge", ["match"])
    visit.shows(".box-label", ["Grace Hopper"])
    visit.says("live")
    assert visit.barriers(axe) == []
    box = visit.page.locator(".box").first
    before = box.get_attribute("style")
    visit.page.wait_for_function("old => document.querySelector('.box')?.getAttribute('style') !== old", arg=before)
    visit.named("button", "Stop the camera").click()
    visit.says("Who is in this picture?")


# A frame is on its way into memory until `go()` is called; `held`: one is.
HELD = """{const real = Blob.prototype.arrayBuffer;
const called = new Promise((resolve) => { window.go = resolve; });
Blob.prototype.arrayBuffer = async function () { window.held = true; await called; return real.call(this); };}"""


def test_the_camera_is_stopped_while_a_frame_is_made(web: Page, visiting: Visiting) -> None:
    visit = visiting(web)
    visit.context.add_init_script(HELD)
    visit.go("/identify")
    visit.named("button", "Use the camera").first.click()
    visit.page.wait_for_function("() => window.held")
    visit.named("button", "Stop the camera").click()
    visit.says("Who is in this picture?")
    visit.page.evaluate("() => go()")
    visit.named("button", "Use the camera").first.click()  # and nothing was said in the console
    visit.page.locator(".box").first.wait_for()


def test_logging_in_and_out(tmp_path: Path, visiting: Visiting, axe: str) -> None:
    with facewire_server(tmp_path, token="open sesame") as address, web_page(address) as web:
        visit = visiting(web, "phone")
        visit.refusals = {401}
        visit.go("/albums")
        visit.says("This server requires a token")
        assert visit.barriers(axe) == []
        visit.page.get_by_label("Token").fill("open barley")
        visit.page.keyboard.press("Enter")
        visit.says("The server does not know this token")
        visit.page.get_by_label("Token").fill("open sesame")
        visit.page.keyboard.press("Enter")
        visit.says("Faces appear here")
        visit.named("button", "Log out").click()
        visit.says("This server requires a token")


def test_by_keyboard_alone(web: Page, visiting: Visiting) -> None:
    visitor = web.visitor()
    for name, face in (("Ada", 7), ("Bo", 30)):
        assert visitor.send("POST", f"/api/enrol?name={name}", portrait(face))[0] == 200
    visit = visiting(web)
    page = visit.page
    visit.go("/people")
    visit.shows(".tile strong", ["Ada", "Bo"])
    tab_to(visit, "Bo1 face")
    page.keyboard.press("Enter")
    visit.says("1 face · enrolled")
    tab_to(visit, "Rename")
    page.keyboard.press("Enter")
    page.locator("dialog input:focus").wait_for()
    page.keyboard.press("Control+A")
    page.keyboard.type("Bob")
    page.keyboard.press("Enter")
    page.locator("h1", has_text="Bob").wait_for()
    tab_to(visit, "Merge into …")
    page.keyboard.press("Enter")
    page.locator("dialog input:focus").wait_for()
    page.keyboard.type("Ada")
    page.keyboard.press("Enter")
    page.locator("h1", has_text="Ada").wait_for()
    visit.says("2 faces")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_colour_schemes_can_be_read(web: Page, visiting: Visiting, axe: str, scheme: str) -> None:
    visitor = web.visitor()
    assert visitor.send("POST", "/api/enrol?name=Ada", portrait(7))[0] == 200
    visit = visiting(web, "desktop", color_scheme=scheme)
    visit.go("/identify")
    visit.page.set_input_files(
        "#files",
        {"name": "two.png", "mimeType": "image/png", "buffer": draw((7, (4, 4, 20, 20)), (8, (36, 4, 20, 20)))},
    )
    visit.shows(".face .badge", ["match", "unknown"])
    assert visit.barriers(axe) == []
    visit.go("/people")
    visit.shows(".tile strong", ["Ada"])
    assert visit.barriers(axe) == []


def tab_to(visit: Visit, text: str) -> None:
    """Presses Tab until what has the focus says `text`."""
    page = visit.page
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate("() => document.activeElement.textContent.trim()")
        if focused == text:
            return
    pytest.fail(f"Tab never reaches '{text}'")
