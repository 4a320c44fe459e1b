"""The page for tokens that may not do everything: what it shows, and what it refuses whatever is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from facewire.protocol.rights import Right
from facewire.server.access.gate import Gate
from facewire.server.access.token_file import TokenFile, changing
from facewire.server.access.tokens import Token, digest_of
from tests.integration.test_web import log_in
from tests.support.synthetic_engine import portrait
from tests.support.web_server import Page, Visitor, facewire_server, web_page


@dataclass(frozen=True)
class Guarded:
    """A page whose server knows tokens, each called as it reads."""

    page: Page
    file: Path

    def create(self, name: str, *rights: Right) -> None:
        with changing(self.file) as tokens:
            tokens[name] = Token(name, digest_of(name), frozenset(rights))

    def inside(self, name: str) -> Visitor:
        _, headers, _ = log_in(self.page.visitor(), name)
        cookie = headers["set-cookie"].split(";", 1)[0]
        html = self.page.request("GET", "/nothing", headers={"Cookie": cookie})[2].decode()
        return Visitor(self.page, cookie, html.split('name="csrf-token" content="', 1)[1].split('"', 1)[0])

    def get(self, visitor: Visitor, path: str) -> tuple[int, dict[str, str], str]:
        status, headers, body = self.page.request("GET", path, headers={"Cookie": visitor.cookie})
        return status, headers, body.decode()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    room = tmp_path_factory.mktemp("rights")
    file = room / "tokens.json"
    with facewire_server(room, gate=Gate(None, TokenFile(file))) as address, web_page(address) as page:
        yield Guarded(page, file)


def test_only_its_views_are_shown(guarded: Guarded) -> None:
    guarded.create("kiosk", "identify")
    kiosk = guarded.inside("kiosk")
    status, _, html = guarded.get(kiosk, "/identify")
    assert status == 200
    assert 'data-rights="identify"' in html
    assert 'href="/people"' not in html and 'href="/albums"' not in html
    for path in ("/people", "/person?name=Ada", "/albums", "/album?album=Trip"):
        status, _, html = guarded.get(kiosk, path)
        assert status == 403
        assert "Your token may not use this part" in html


def test_what_is_not_shown_is_refused_too(guarded: Guarded) -> None:
    guarded.create("kiosk", "identify")
    kiosk = guarded.inside("kiosk")
    assert kiosk.send("POST", "/api/identify", portrait(3))[0] == 200
    for status, body in (kiosk.op("people"), kiosk.op("erase", name="Ada"), kiosk.op("album.list")):
        assert (status, body["code"]) == (403, "forbidden")
    status, _, answer = kiosk.send("POST", "/api/enrol?name=Ada", portrait(7))
    assert (status, json.loads(answer)["error"]["code"]) == (403, "forbidden")


def test_the_first_view_is_one_that_it_may_see(guarded: Guarded) -> None:
    guarded.create("archive", "albums")
    assert guarded.get(guarded.inside("archive"), "/")[1]["location"] == "/albums"


def test_people_without_the_right_to_change_them(guarded: Guarded) -> None:
    guarded.create("door", "enrol")
    status, _, html = guarded.get(guarded.inside("door"), "/people")
    assert status == 200
    assert 'id="add"' in html and 'id="undo"' not in html


def test_a_token_that_is_for_nothing_here(guarded: Guarded) -> None:
    guarded.create("metrics", "operate")
    status, headers, html = log_in(guarded.page.visitor(), "metrics")
    assert status == 403
    assert "set-cookie" not in headers
    assert b"nothing on this page is for it" in html


def test_a_revoked_token_leads_to_the_login(guarded: Guarded) -> None:
    guarded.create("guest", "identify")
    guest = guarded.inside("guest")
    assert guarded.get(guest, "/identify")[0] == 200
    with changing(guarded.file) as tokens:
        del tokens["guest"]
    assert guarded.get(guest, "/identify")[1]["location"] == "/login"
