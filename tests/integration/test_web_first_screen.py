"""What a page has in it before its scripts have come: a first screen, and the answers to their first questions."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from facewire.client import FaceClient
from facewire.client.errors import ServerTimeout, Unauthorized
from facewire.client.web import words
from facewire.client.web.assets import first_of
from facewire.client.web.first_screen import FirstScreen, of_album, within_patience
from facewire.protocol.errors import ErrorCode
from facewire.server.access.gate import Gate
from facewire.server.access.token_file import TokenFile, changing
from facewire.server.access.tokens import Token, digest_of
from tests.browser.furnished import ADA, BOTH
from tests.integration.test_web import log_in
from tests.support import coroutines
from tests.support.synthetic_engine import draw, portrait
from tests.support.web_server import Page, Visitor, facewire_server, web_page

HOSTILE = "</script><script>alert(1)</script><!-- \"'&"


class Found(HTMLParser):
    """The tiles of a page, as [address, words], its pictures' addresses, and the answers."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tiles: list[list[str]] = []
        self.pictures: list[str] = []
        self.scripts = 0
        self._answers = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if "tile" in (said.get("class") or "").split():
            self.tiles.append([said["href"] or "", said.get("aria-label") or ""])
            self._inside = "tile"
        elif tag == "img":
            self.pictures.append(said["src"] or "")
        elif tag == "script":
            self.scripts += 1
            self._inside = "answers" if said.get("id") == "answers" else ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("a", "script"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "tile":
            self.tiles[-1][1] += data
        elif self._inside == "answers":
            self._answers += data

    @property
    def answers(self) -> list[Any]:
        return json.loads(self._answers) if self._answers else []


def opened(visitor: Visitor, path: str) -> Found:
    status, _, body = visitor.send("GET", path)
    assert status == 200
    return Found(body.decode())


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, too, pages come with their first screen."""
    monkeypatch.setattr("facewire.client.web.first_screen.PATIENCE_S", 60.0)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A server with an album of four photos, whose names are as bad as names can be."""
    with facewire_server(tmp_path_factory.mktemp("first")) as address:
        with FaceClient(*address, timeout=60) as client:
            client.enrol(HOSTILE, portrait(ADA))
            client.albums.create("Trip")
            for name, data in {
                "2023-05-02 12.00.00.png": portrait(ADA),
                f"{HOSTILE}.png": BOTH,
                "\u05e9\u05dc\u05d5\u05dd.png": draw(),
                "2023-06-01 12.00.00.png": portrait(ADA, shade=3),
            }.items():
                client.albums.add("Trip", name, data)
            client.albums.process("Trip")
            client.albums.label("Trip", next(client.albums.all_people("Trip")).person, HOSTILE)
        yield address


@pytest.fixture(scope="module")
def visitor(address: tuple[str, int]) -> Iterator[Visitor]:
    with web_page(address) as page:
        yield page.visitor()


def test_an_albums_people_and_photos_are_in_its_page(visitor: Visitor) -> None:
    found = opened(visitor, "/album?album=Trip")
    people = [tile for tile in found.tiles if tile[0].startswith("#/person/")]
    photos = [tile for tile in found.tiles if tile[0].startswith("#/photos/")]
    assert people[0][1] == f"{HOSTILE}3 photos"
    assert [words for _, words in people[1:]] == ["Not named yet1 photo"]
    assert [words for _, words in photos] == [
        "2023-06-01 12.00.00.png, 1 face",
        "2023-05-02 12.00.00.png, 1 face",
        f"{HOSTILE}.png, 2 faces2",
        "\u2068\u05e9\u05dc\u05d5\u05dd.png\u2069, no faceno face",
    ]
    for source in found.pictures:
        status, headers, _ = visitor.send("GET", source)
        assert (status, headers["content-type"]) == (200, "image/jpeg")
    _, _, body = visitor.send("GET", "/album?album=Trip")
    assert body.index(b"</template>") < body.index(b"/js/start.js")  # which may run at once, out of a cache
    assert found.scripts == opened(visitor, "/album?album=nowhere").scripts + 2  # start.js, and the answers


def test_the_gallery_too(visitor: Visitor) -> None:
    found = opened(visitor, "/people")
    assert [words for _, words in found.tiles] == [f"{HOSTILE}1 face"]
    assert visitor.send("GET", found.tiles[0][0])[0] == visitor.send("GET", found.pictures[0])[0] == 200


@pytest.mark.parametrize("path", ["/album?album=Trip", "/people"])
def test_the_answers_are_what_the_server_says(visitor: Visitor, path: str) -> None:
    answers = opened(visitor, path).answers
    assert answers
    for one in answers:
        status, said = visitor.op(one["op"], **one["keys"])
        assert status == 200
        for photo in said.get("photos", []) if one["op"] == "album.photos" else []:
            del photo["sha256"]  # it can't be compressed, and isn't shown
        assert json.dumps(one["answer"]) == json.dumps(said)  # in the same order, too: scripts compare them so


def test_a_page_with_names_in_it_repeats_nothing_of_its_address(visitor: Visitor) -> None:
    """Else the length of its compressed form would tell who guesses them (BREACH)."""
    _, _, body = visitor.send("GET", "/album?album=Trip&other=guessed-by-somebody")
    assert b"guessed" not in body
    assert not opened(visitor, "/album?album=guessed-by-somebody").answers


def test_work_in_progress_is_left_to_the_scripts(address: tuple[str, int], visitor: Visitor) -> None:
    with FaceClient(*address, timeout=60) as client:
        client.albums.create("New")
        client.albums.add("New", "ada.png", portrait(ADA))
    found = opened(visitor, "/album?album=New")
    assert not found.tiles and not found.answers


def test_a_token_sees_what_is_its_own(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    with changing(file) as tokens:
        guests = Token("guests", digest_of("guests"), frozenset(("view",)), albums=frozenset(("Trip",)))
        tokens.update(guests=guests, all=Token("all", digest_of("all")))
    with facewire_server(tmp_path, gate=Gate(None, TokenFile(file))) as address, web_page(address) as page:
        with FaceClient(*address, token="all", timeout=60) as client:
            for album, name in (("Trip", "Ada"), ("Secret", "Bo")):
                client.albums.create(album)
                client.albums.add(album, f"{name}.png", portrait(ADA))
                client.albums.process(album)
                client.albums.label(album, next(client.albums.all_people(album)).person, name)
        guest = _inside(page, "guests")
        found = opened(guest, "/album?album=Trip")
        assert "Ada1 photo" in [words for _, words in found.tiles]
        status, _, body = guest.send("GET", "/album?album=Trip")
        assert status == 200 and b"Add photos" not in body and b"Same person?" not in body
        for path in ("/album?album=Secret", "/album?album=nowhere"):
            found = opened(guest, path)
            assert not found.tiles and not found.answers
        assert guest.send("GET", "/people")[0] == 403
        status, headers, _ = page.request("GET", "/album?album=Trip")
        assert (status, headers["location"]) == (303, "/login")


def _inside(page: Page, token: str) -> Visitor:
    cookie = log_in(page.visitor(), token)[1]["set-cookie"].split(";", 1)[0]
    html = page.request("GET", "/nothing", headers={"Cookie": cookie})[2].decode()
    return Visitor(page, cookie, html.split('name="csrf-token" content="', 1)[1].split('"', 1)[0])


def test_without_a_server_the_page_opens(tmp_path: Path) -> None:
    with facewire_server(tmp_path) as address:
        pass
    with web_page(address) as page:
        for path in ("/album?album=Trip", "/people"):
            status, _, body = page.request("GET", path)
            assert status == 200
            assert b"data-offline" in body and b'id="answers"' not in body


def test_what_the_server_does_not_say_in_time_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facewire.client.web.first_screen.PATIENCE_S", 0.05)

    async def never() -> FirstScreen:
        await asyncio.Event().wait()
        raise AssertionError

    async def refused(_: str, __: object) -> object:
        raise ServerTimeout("too late")

    async def locked(_: str, __: object) -> object:
        raise Unauthorized(ErrorCode.UNAUTHORIZED, "no")

    async def all_of_them() -> None:
        assert await within_patience(never()) is None
        assert await within_patience(of_album(refused, (), "Trip")) is None
        with pytest.raises(Unauthorized):
            await within_patience(of_album(locked, (), "Trip"))

    coroutines.run(all_of_them)


def test_the_first_styles_are_those_between_the_marks() -> None:
    marked = "a { b: c }\n/* first: */\n.d, .e {\n  f: g; /* why */\n}\n/* :first */\nh { i: j }\n"
    marked += "/* first: */k { l: m }/* :first */"
    assert first_of(marked) == ".d,.e{f: g;}k{l: m}"


def test_words_are_the_scripts_own() -> None:
    assert [words.whole(1234), words.plural(1, "photo"), words.plural(2000, "person", "people")] == [
        "1,234", "1 photo", "2,000 people",
    ]  # fmt: skip
    sizes = (12, 2_500, 999_499, 3_250_000, 1_234_567_890_000)
    assert [words.megabytes(size) for size in sizes] == ["1 kB", "3 kB", "999 kB", "3.3 MB", "1,234.57 GB"]
    assert words.day_name("2023-05-02") == "Tuesday, May 2, 2023"
    assert [words.day_name(None), words.month_name("2023-05-02"), words.clock(65.9)] == ["Day unknown", "May", "1:05"]
    assert words.address("/x", {"a": "A b*~é&"}) == "/x?a=A+b*%7E%C3%A9%26"
    assert re.fullmatch("\u2068.*\u2069", words.isolated("\u05e9"))
