"""Who logs in with a token that may little, or sees few, is shown just that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from facewire.client import FaceClient
from facewire.protocol.rights import Right
from facewire.server.access.gate import Gate
from facewire.server.access.token_file import TokenFile, changing
from facewire.server.access.tokens import Token, digest_of
from tests.browser.conftest import Visiting
from tests.browser.visit import Visit
from tests.support.fake_service import PATIENCE_S
from tests.support.synthetic_engine import portrait
from tests.support.tiny_clip import write_clip
from tests.support.waiting import eventually
from tests.support.web_server import Page, facewire_server, web_page

MASTER = "open sesame"
ADA, BO = 7, 30


@dataclass(frozen=True)
class Locked:
    """A page whose server knows Ada and Bo, and tokens, each called as it reads."""

    page: Page
    file: Path

    def create(self, name: str, *rights: Right, people: frozenset[str] | None = None) -> None:
        with changing(self.file) as tokens:
            tokens[name] = Token(name, digest_of(name), frozenset(rights), people=people)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Locked]:
    file = tmp_path / "tokens.json"
    with facewire_server(tmp_path, gate=Gate(MASTER, TokenFile(file))) as address:
        with FaceClient(*address, token=MASTER, timeout=PATIENCE_S) as everybody:
            everybody.enrol("Ada", portrait(ADA))
            everybody.enrol("Bo", portrait(BO))
        with web_page(address) as page:
            yield Locked(page, file)


def log_in(visit: Visit, token: str) -> None:
    visit.page.get_by_label("Token").fill(token)
    visit.named("button", "Log in").click()


def test_a_token_for_identifying_only(locked: Locked, visiting: Visiting, axe: str, tmp_path: Path) -> None:
    locked.create("kiosk", "identify")
    visit = visiting(locked.page)
    visit.refusals = {401, 403}
    visit.go("/people")
    visit.says("This server requires a token")
    log_in(visit, "a wrong one")
    visit.says("does not know this token")
    log_in(visit, "kiosk")
    visit.says("Faces appear here")
    visit.shows(".views a", ["Identify"])
    assert visit.barriers(axe) == []
    for name, number, told in (("ada", ADA, "Ada"), ("new", 52, "Nobody known")):
        photo = tmp_path / f"{name}.png"
        photo.write_bytes(portrait(number))
        visit.page.set_input_files("#files", [photo])
        visit.page.locator(".face strong", has_text=told).first.wait_for()
    visit.page.locator(".box").first.click()
    assert visit.page.get_by_label("Enrol this face as").count() == 0
    assert visit.named("button", "Enrol").count() == 0
    visit.go("/people")
    visit.says("Your token may not use this part")
    assert visit.barriers(axe) == []
    visit.named("button", "Log out").click()
    visit.says("This server requires a token")


def test_a_link_to_an_album_lets_look_at_it(tmp_path: Path, visiting: Visiting, axe: str) -> None:
    """Nothing that would change it is offered; what it shows can be searched for where the server has a model."""
    file = tmp_path / "tokens.json"
    with changing(file) as tokens:
        albums = frozenset(("Trip",))
        tokens["guests"] = Token("guests", digest_of("guests"), frozenset(("view",)), albums=albums)
    gate, clip = Gate(MASTER, TokenFile(file)), write_clip(tmp_path / "clip")
    with facewire_server(tmp_path, gate=gate, clip=clip) as address:
        with FaceClient(*address, token=MASTER, timeout=PATIENCE_S) as everybody:
            for album in ("Trip", "Home"):
                everybody.albums.create(album)
            for name, picture in {"ada.png": portrait(ADA), "bo.png": portrait(BO)}.items():
                everybody.albums.add("Trip", name, picture)
            everybody.albums.process("Trip")
            ada = next(face for face in everybody.albums.faces("Trip").faces if face.photo == 1).person
            assert ada is not None
            everybody.albums.label("Trip", ada, "Ada")
            described = lambda: everybody.albums.search("Trip", text="red").total == 2  # noqa: E731
            assert eventually(described)
        with web_page(address) as page:
            visit = visiting(page)
            visit.go("/login#guests")
            visit.shows(".views a", ["Albums"])
            assert "guests" not in visit.page.url
            visit.shows(".album-card h2", ["Trip"])
            assert not visit.named("button", "Create").is_visible()
            visit.page.locator(".album-card").click()
            visit.shows(".tabs button", ["People2", "Photos2", "Find somebody"])
            visit.shows("#actions button", [""])  # download
            assert visit.barriers(axe) == []
            visit.page.locator(".tile", has_text="Ada").click()
            visit.says("1 face in 1 photo")
            visit.shows(".person-head button", ["Their photos"])
            visit.has(".person-head input", 0)
            visit.has(visit.named("checkbox", "Choose this face"), 0)
            visit.named("tab", "Photos2").click()
            visit.page.locator(".photo-tile").first.click()
            visit.named("button", "Close").wait_for()
            for tool in ("A favourite", "Name the faces", "Draw a face that was missed"):
                visit.has(visit.named("button", tool), 0)
            visit.named("button", "Close").click()
            visit.named("tab", "Find somebody").click()
            field = visit.page.get_by_label("What do they show?")
            field.fill("blue")
            field.press("Enter")
            visit.says("The most similar first")
            visit.has(".photo-tile", 2)
            visit.has(".find .drop", 0)
            assert visit.barriers(axe) == []


def test_a_token_that_sees_one_person(locked: Locked, visiting: Visiting, axe: str) -> None:
    locked.create("ada", "identify", "manage", people=frozenset(("Ada",)))
    visit = visiting(locked.page)
    visit.refusals = {403, 404}
    visit.go("/people")
    log_in(visit, "ada")
    visit.named("link", "People", exact=True).click()
    visit.shows(".tile strong", ["Ada"])
    visit.says("sees only some people")  # in place of everybody's changes
    assert visit.barriers(axe) == []
    visit.go("/person?name=Bo")
    visit.says("Nobody has that name")
