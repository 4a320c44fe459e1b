"""Names from the gallery are shown before they are given; undo takes back what it says; two tabs see each other."""

from __future__ import annotations

from pathlib import Path

from facewire.client import FaceClient
from tests.browser.conftest import Visiting
from tests.browser.furnished import furnish
from tests.browser.test_reach import out_of_reach
from tests.support.web_server import facewire_server, web_page

TILES = "#view .tile strong"


def test_names_undo_and_another_tab(tmp_path: Path, visiting: Visiting, axe: str) -> None:
    with facewire_server(tmp_path) as address, web_page(address) as web, FaceClient(*address) as client:
        furnish(address)
        visit = visiting(web)
        visit.refusals = {409}
        visit.go("/album?album=Trip")
        page = visit.page
        other = visit.context.new_page()
        other.goto(f"{web.url}/album?album=Trip")
        other.locator(TILES).nth(1).wait_for()

        visit.named("button", "Take 1 name from the gallery").click()
        page.locator(".name-row img").nth(1).wait_for()
        visit.says("1.00 similar")
        assert visit.barriers(axe) == []
        assert out_of_reach(visit) == []
        visit.named("button", "Cancel").click()
        assert client.albums.status("Trip").named == 0
        visit.named("button", "Take 1 name from the gallery").click()
        page.locator(".name-row input").uncheck()
        visit.page.locator("button:disabled", has_text="Name nobody").wait_for()
        page.locator(".name-row input").check()
        visit.named("button", "Name 1 person").click()
        visit.says("Named Ada.")
        visit.says("2 people, 1 named")
        other.locator(TILES, has_text="Ada").wait_for()  # it was told, and redrew itself
        other.get_by_text("2 people, 1 named").wait_for()

        (bo,) = (one for one in client.albums.all_people("Trip") if one.name is None)
        client.albums.label("Trip", bo.person, "Bo")  # from another machine
        page.locator(".notice").get_by_role("button", name="Undo").click()
        visit.says("Nothing was undone: another change came later (named 1 face Bo).")
        visit.shows(TILES, ["Ada", "Bo"])
        assert client.albums.status("Trip").named == 2
        visit.named("button", "Undo", exact=True).click()
        visit.says("Undone: named 1 face Bo")
        visit.says("2 people, 1 named")
        other.get_by_text("2 people, 1 named").wait_for()
