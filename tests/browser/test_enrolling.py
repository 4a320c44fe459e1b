"""Pictures that are refused: the page says every reason with its numbers, and enrols anyway when told to."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import FilePayload

from facewire.client import FaceClient
from tests.browser.conftest import Visiting
from tests.browser.visit import Visit
from tests.support.synthetic_engine import draw, portrait, tiny
from tests.support.web_server import Page, facewire_server, web_page

ADA, BO, CLEO = 7, 30, 52
TOO_SMALL = "The face is too small: 18 pixels, at least 24 are needed."


def test_in_identify(tmp_path: Path, visiting: Visiting, axe: str) -> None:
    with facewire_server(tmp_path) as address, web_page(address) as web, FaceClient(*address) as client:
        visit = visiting(web)
        visit.go("/identify")
        visit.page.set_input_files("#files", picture("small.png", tiny(CLEO)))
        visit.page.get_by_label("Enrol this face as").fill("Cleo")
        visit.named("button", "Enrol", exact=True).click()
        visit.shows(".enrol .reasons li", [TOO_SMALL])
        assert visit.barriers(axe) == []
        assert client.people().total == 0
        visit.named("button", "Enrol anyway").click()
        visit.says("Cleo is enrolled with 1 face.")
        visit.shows(".face .badge", ["match"])
        assert [one.name for one in client.people().people] == ["Cleo"]


def test_what_comes_to_light_only_then_is_asked_too(tmp_path: Path, visiting: Visiting) -> None:
    """A face too small, and after that one that is somebody else's."""
    with facewire_server(tmp_path) as address, web_page(address) as web, FaceClient(*address) as client:
        client.enrol("Ada", portrait(ADA))
        client.enrol("Bo", portrait(BO))
        visit = visiting(web)
        visit.go("/identify")
        visit.page.set_input_files("#files", picture("small.png", tiny(ADA)))
        visit.page.get_by_label("Also enrol this face as").fill("Bo")
        visit.named("button", "Enrol", exact=True).click()
        visit.shows(".enrol .reasons li", [TOO_SMALL])
        visit.named("button", "Enrol anyway").click()
        visit.says("It matches Ada (similarity")
        visit.has(".enrol .reasons li", 1)  # what was accepted is not said again
        visit.named("button", "Enrol anyway").click()
        visit.says("Bo is enrolled with 2 faces.")


def test_the_reasons_go_with_the_name_they_were_about(web: Page, visiting: Visiting) -> None:
    visit = visiting(web)
    visit.go("/identify")
    visit.page.set_input_files("#files", picture("small.png", tiny(CLEO)))
    visit.page.get_by_label("Enrol this face as").fill("Cleo")
    visit.named("button", "Enrol", exact=True).click()
    visit.says(TOO_SMALL)
    visit.page.get_by_label("Enrol this face as").fill("Cleopatra")
    visit.named("button", "Enrol anyway").wait_for(state="detached")


def test_a_doubt_is_said(tmp_path: Path, visiting: Visiting) -> None:
    with facewire_server(tmp_path) as address, web_page(address) as web:
        with FaceClient(*address) as client:
            client.enrol("Ada", portrait(ADA))
        visit = visiting(web)
        visit.go("/people")
        enrol_files(visit, "Countess", [picture("ada.png", portrait(ADA, shade=1))])
        visit.says("Countess is enrolled, but it matches Ada (similarity")
        visit.shows(".tile strong", ["Ada", "Countess"])


def test_among_the_people(tmp_path: Path, visiting: Visiting, axe: str) -> None:
    with facewire_server(tmp_path) as address, web_page(address) as web, FaceClient(*address) as client:
        client.enrol("Cleo", portrait(CLEO))
        visit = visiting(web, "phone")
        visit.go("/people")
        both = draw((ADA, (4.0, 8.0, 22.0, 24.0)), (BO, (36.0, 8.0, 22.0, 24.0)))
        files = {"small.png": tiny(CLEO), "both.png": both, "same.png": portrait(CLEO), "nobody.png": draw()}
        enrol_files(visit, "Cleo", [picture(name, data) for name, data in files.items()])
        visit.says("4 of 4 pictures not enrolled")
        for reason in (
            TOO_SMALL,
            "2 faces are in the picture",
            "It is the same file.",
            "No face was found",
        ):
            visit.says(reason)
        assert visit.barriers(axe) == []
        # only for what can be helped
        visit.has(visit.named("button", "Enrol anyway"), 2)
        visit.named("button", "Enrol anyway: small.png").click()
        visit.says("Enrolled.")
        visit.named("button", "Enrol anyway: both.png").click()
        visit.page.get_by_text("Enrolled.").nth(1).wait_for()
        visit.named("button", "Close").last.click()
        visit.page.locator(".tile", has_text="Cleo").get_by_text("3 faces").wait_for()


def test_a_person_of_an_album(tmp_path: Path, visiting: Visiting, axe: str) -> None:
    with facewire_server(tmp_path) as address, web_page(address) as web, FaceClient(*address) as client:
        client.albums.create("Trip")
        client.albums.add("Trip", "near.png", portrait(ADA))
        client.albums.add("Trip", "far.png", tiny(ADA))
        client.albums.process("Trip")
        (ada,) = client.albums.all_people("Trip")
        client.albums.label("Trip", ada.person, "Ada")
        visit = visiting(web, "phone")
        visit.go(f"/album?album=Trip#/person/{ada.person}")
        visit.named("button", "Enrol in the gallery").click()
        visit.says("Ada is in the gallery with 1 face")
        visit.says("1 face of Ada not enrolled")
        visit.shows(".refusals .reasons li", [TOO_SMALL])
        assert visit.barriers(axe) == []
        visit.named("button", "Enrol anyway: far.png").click()
        visit.says("Enrolled.")
        assert client.people().people[0].templates == 2


def enrol_files(visit: Visit, name: str, pictures: list[FilePayload]) -> None:
    visit.named("button", "Enrol somebody").click()
    visit.page.get_by_label("Name", exact=True).fill(name)
    visit.page.get_by_label("Pictures").set_input_files(pictures)
    visit.named("dialog", "Enrol somebody").get_by_role("button", name="Enrol", exact=True).click()


def picture(name: str, data: bytes) -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": data}
