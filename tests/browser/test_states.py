"""Every view in every state: empty, loading, failed, without a server. Each says what to do, and a way leads on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import FilePayload

from tests.browser.conftest import WIDTHS, Visiting
from tests.browser.furnished import ADA, furnish
from tests.browser.visit import Visit
from tests.support.synthetic_engine import portrait
from tests.support.web_server import Page, facewire_server, web_page

if TYPE_CHECKING:
    from playwright.sync_api import Route

SCHEMES = ("light", "dark")


def pick_a_picture(visit: Visit) -> None:
    visit.page.set_input_files("#files", {"name": "ada.png", "mimeType": "image/png", "buffer": portrait(ADA)})


def pick_a_sample(visit: Visit) -> None:
    sample: FilePayload = {"name": "ada.png", "mimeType": "image/png", "buffer": portrait(ADA)}
    visit.page.get_by_label("Pictures of somebody to find").set_input_files(sample)


@dataclass(frozen=True, slots=True)
class View:
    """A view: where it is, what it asks the gateway for, what it shows with nothing and with something in it.

    `begin`: what a person does before the view asks anything.
    """

    path: str
    asks: str
    empty: str
    full: str
    begin: Callable[[Visit], None] | None = None


VIEWS = {
    "identify": View("/identify", "/api/identify", "Who is in this picture?", ".face .badge", pick_a_picture),
    "people": View("/people", "/api/op/people", "Nobody is enrolled yet", ".tile strong >> text=Ada"),
    "person": View("/person?name=Ada", "/api/op/show", "Nobody has that name", ".tile .pick"),
    "albums": View("/albums", "/api/op/album.list", "No album yet", ".album-card >> text=Trip"),
    "album": View("/album?album=Trip", "/api/op/album.status", "This album is empty", "#view .tile >> nth=1"),
    "its people": View(
        "/album?album=Trip#/people", "/api/op/album.people", "This album is empty", "#view .tile >> nth=1"),
    "its person": View(
        "/album?album=Trip#/person/1", "/api/op/album.faces", "This person is gone", ".person-head form"),
    "its photos": View("/album?album=Trip#/photos", "/api/op/album.photos", "No photos here", ".photo-tile"),
    "its search": View(
        "/album?album=Trip#/find", "/api/album/search", "Who are you looking for?", ".vgrid .photo-tile", pick_a_sample
    ),
    "its questions": View("/album?album=Trip#/suggestions", "/api/op/album.suggest", "Nothing to ask", ".state-title"),
}  # fmt: skip


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A server with nothing but an empty album."""
    with facewire_server(tmp_path_factory.mktemp("empty")) as address, web_page(address) as web:
        yield web


def open_view(visit: Visit, view: View) -> None:
    visit.leave()
    visit.go(view.path)
    if view.begin is not None:
        visit.page.wait_for_load_state()
        view.begin(visit)


def without_answers(visit: Visit) -> None:
    """Pages come as when the server was too slow for their first screen: their scripts ask."""

    def leave_out(route: Route) -> None:
        page = route.fetch(headers={**route.request.headers, "accept-encoding": "identity"})
        route.fulfill(response=page, body=page.text().replace('id="answers"', ""))

    visit.page.route(lambda url: urlsplit(url).path in ("/people", "/album"), leave_out)


def hold(visit: Visit, view: View) -> list[Route]:
    """Answers nothing of what the view asks: the requests, to be let go later."""
    without_answers(visit)
    held: list[Route] = []
    visit.page.route(lambda url: view.asks in url, lambda route: held.append(route))
    return held


def refuse(visit: Visit, view: View, error: object) -> None:
    """Answers with an error what the view asks."""
    without_answers(visit)
    visit.page.route(lambda url: view.asks in url, lambda route: route.fulfill(status=502, body=json.dumps(error)))


@pytest.mark.parametrize("width", WIDTHS)
def test_empty(empty: Page, visiting: Visiting, axe: str, width: str) -> None:
    visit = visiting(empty, width)
    visit.refusals = {404}  # somebody who is not there
    for name in ("identify", "people", "person", "albums"):
        visit.go(VIEWS[name].path)
        visit.says(VIEWS[name].empty)
        assert visit.barriers(axe) == [], name
    assert empty.visitor().op("album.create", album="Trip")[0] == 200
    for name in VIEWS.keys() - {"identify", "people", "person", "albums"}:
        visit.leave()
        visit.go(VIEWS[name].path)
        visit.says(VIEWS[name].empty)
        assert visit.barriers(axe) == [], name
    assert empty.visitor().op("album.delete", album="Trip")[0] == 200


_SHOWN = """() => [...document.querySelectorAll(
    '#name, #count, #actions .button, #tabs > *, .chips > *, .dates > *, .tile, .tile img'
)].filter((one) => one.getClientRects().length).map((one) => {
    const {x, y, width, height} = one.getBoundingClientRect();
    const words = one.getAttribute('aria-label') ?? one.getAttribute('src') ?? one.textContent;
    return [words.replace(/\\s+/g, ''), ...[x, y, width, height].map(Math.round)];
})"""


def scripts_change_nothing(visit: Visit, view: View, axe: str) -> None:
    """What a page shows before its scripts have come stays in its place when they do, and nothing is asked again."""
    visit.leave()
    held: list[Route] = []
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url.partition("/api/op/")[2]))
    visit.page.route("**/js/start.js", lambda route: held.append(route))
    with visit.page.expect_request("**/js/start.js"):
        visit.page.goto(visit.web.url + view.path, wait_until="commit")
    visit.page.locator(view.full).first.wait_for()
    visit.page.wait_for_function("() => !document.getAnimations().length")
    before = visit.page.evaluate(_SHOWN)
    assert visit.barriers(axe) == []
    held[0].continue_()
    visit.page.locator(".first").first.wait_for(state="detached")
    after = visit.page.evaluate(_SHOWN)
    assert [words for words, *_ in after] == [words for words, *_ in before]
    for old, new in zip(before, after, strict=True):
        assert all(abs(one - other) <= 1 for one, other in zip(old[1:], new[1:], strict=True)), (old, new)
    assert not {"album.status", "album.people", "album.photos", "album.days", "album.recognise", "people"} & {*asked}
    visit.page.unroute_all()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_full(
    full: Page, visiting: Visiting, axe: str, width: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facewire.client.web.first_screen.PATIENCE_S", 60.0)  # on a busy machine, too
    visit = visiting(full, width, color_scheme=scheme)
    for name, view in VIEWS.items():
        open_view(visit, view)
        visit.page.locator(view.full).first.wait_for()
        assert visit.barriers(axe) == [], name
    for name in ("people", "album", "its photos") if scheme == "light" else ():
        scripts_change_nothing(visit, VIEWS[name], axe)
    visit.leave()
    open_view(visit, VIEWS["its photos"])
    visit.page.locator(".photo-tile").first.click()
    visit.page.locator(".lightbox .box").first.wait_for()
    assert visit.barriers(axe) == []


def test_loading(full: Page, visiting: Visiting, axe: str) -> None:
    visit = visiting(full)
    for name, view in VIEWS.items():
        held = hold(visit, view)
        open_view(visit, view)
        if name == "identify":
            visit.says("Looking for faces")
        else:
            visit.page.get_by_role("status", name="Loading").first.wait_for()
        assert visit.barriers(axe) == [], name
        assert visit.page.locator(view.full).count() == 0, name
        for route in held:
            route.continue_()
        visit.page.unroute_all()
        visit.page.locator(view.full).first.wait_for()
        # Other parts of the view come a little later.
        visit.page.get_by_role("status", name="Loading").first.wait_for(state="hidden")


def test_failed(full: Page, visiting: Visiting, axe: str) -> None:
    visit = visiting(full)
    visit.refusals = {502}
    error = {"error": {"code": "internal", "message": "the disk made a noise", "retry_after_ms": None}}
    for name, view in VIEWS.items():
        refuse(visit, view, error)
        open_view(visit, view)
        visit.says("That didn't work")
        visit.says("the disk made a noise")
        assert visit.barriers(axe) == [], name
        visit.page.unroute_all()
        visit.named("button", "Try again").first.click()
        visit.page.locator(view.full).first.wait_for()
        visit.has(visit.page.get_by_text("That didn't work"), 0)


def look_now(visit: Visit) -> None:
    """As when somebody comes back to the tab, which otherwise looks every 20 seconds."""
    visit.page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")


def test_losing_the_server_and_finding_it_again(tmp_path: Path, visiting: Visiting, axe: str) -> None:
    """Every view at once, each in a browser of its own: what is shown stays, and the banner comes and goes."""
    with facewire_server(tmp_path) as address:
        furnish(address)
        page = web_page(address)
        web = page.__enter__()
        visits = {name: visiting(web) for name in VIEWS}
        for name, visit in visits.items():
            visit.refusals = {503}
            open_view(visit, VIEWS[name])
            visit.page.locator(VIEWS[name].full).first.wait_for()
    try:
        for name, visit in visits.items():
            look_now(visit)
            visit.says(f"python server_app.py --port {address[1]}")
            assert visit.page.locator(VIEWS[name].full).first.is_visible()
            assert visit.barriers(axe) == []
        with facewire_server(tmp_path, port=address[1]):
            for name, visit in visits.items():
                visit.page.locator("#offline").wait_for(state="hidden")
                visit.page.locator(VIEWS[name].full).first.wait_for()
    finally:
        page.__exit__(None, None, None)


def test_opened_without_a_server_and_going_on_by_itself(tmp_path: Path, visiting: Visiting) -> None:
    """Nobody presses a button: the view comes when the server does, and what was asked meanwhile is answered."""
    with facewire_server(tmp_path) as address:
        furnish(address)
    with web_page(address) as web:
        visits = {name: visiting(web, "phone") for name in VIEWS}
        for name, visit in visits.items():
            visit.refusals = {503}
            visit.go(VIEWS[name].path)
            visit.says(f"python server_app.py --port {address[1]}")
        pick_a_picture(visits["identify"])
        visits["identify"].says("That didn't work")
        for name in VIEWS.keys() - {"identify"}:
            visits[name].says("The server can't be reached")
        with facewire_server(tmp_path, port=address[1]):
            for name, visit in visits.items():
                if name == "its search":
                    pick_a_sample(visit)
                visit.page.locator(VIEWS[name].full).first.wait_for()


def test_a_gateway_that_was_started_again(tmp_path: Path, visiting: Visiting) -> None:
    with facewire_server(tmp_path) as address:
        furnish(address)
        with web_page(address) as web:
            visit = visiting(web)
            visit.refusals = {403}
            visit.go("/people")
            visit.page.locator(VIEWS["people"].full).wait_for()
        look_now(visit)
        visit.says("The page has lost its gateway")
        assert visit.page.locator(VIEWS["people"].full).is_visible()
        with web_page(address, port=web.port):
            visit.page.locator("#offline").wait_for(state="hidden")
            visit.page.get_by_label("Search by name").fill("ada")
            visit.page.locator("#count", has_text="1 person").wait_for()


class TestTheLightbox:
    def test_loading_and_failing_and_going_on(self, full: Page, visiting: Visiting, axe: str) -> None:
        visit = visiting(full)
        visit.refusals = {502}
        visit.go("/album?album=Trip#/photos")
        photos = visit.page.locator(".photo-tile")
        photos.nth(2).wait_for()
        visit.page.route("**/api/album/photo?*size=0*", lambda route: route.fulfill(status=502, body="{}"))
        photos.first.click()
        visit.says("This photo can't be shown; it can be saved.")
        assert visit.barriers(axe) == []
        visit.page.unroute_all()
        visit.page.keyboard.press("ArrowRight")
        visit.page.locator(".lightbox .box").first.wait_for()

    def test_without_a_server(self, tmp_path: Path, visiting: Visiting) -> None:
        with facewire_server(tmp_path) as address:
            furnish(address)
            page = web_page(address)
            visit = visiting(page.__enter__())
            visit.refusals = {503}
            visit.go("/album?album=Trip#/photos")
            visit.page.locator(".photo-tile").first.click()
            visit.page.locator(".lightbox .box").first.wait_for()
        try:
            look_now(visit)
            visit.page.locator("#offline").wait_for()
            visit.page.keyboard.press("ArrowRight")
            visit.says("The server can't be reached.")
            with facewire_server(tmp_path, port=address[1]):
                visit.page.locator(".lightbox").get_by_role("button", name="Try again").click()
                visit.page.locator(".lightbox .box").first.wait_for()
        finally:
            page.__exit__(None, None, None)
