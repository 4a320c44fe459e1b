"""The album's questions: is this the same person?"""

from __future__ import annotations

from pathlib import Path

from facewire.client import FaceClient
from tests.browser.conftest import Visiting
from tests.browser.test_reach import out_of_reach
from tests.support.synthetic_engine import portrait
from tests.support.web_server import facewire_server, web_page

NEAR = ((44, 39), (1, 0), (59, 38))
"""Colours so alike that two of them may be one person, and not so alike that they are taken for one."""


def test_questions_are_answered_and_do_not_come_back(tmp_path: Path, visiting: Visiting, axe: str) -> None:
    with facewire_server(tmp_path) as address, web_page(address) as web, FaceClient(*address) as client:
        client.albums.create("Doubt")
        for pair, photos in zip(NEAR, ((4, 4), (3, 3), (2, 1)), strict=True):
            for number, count in zip(pair, photos, strict=True):
                for shade in range(count):
                    client.albums.add("Doubt", f"{number} {shade}.png", portrait(number, shade=shade))
        client.albums.process("Doubt")
        visit = visiting(web)
        visit.go("/album?album=Doubt")
        visit.named("tab", "Same person?").click()
        visit.says("settles 4 faces · 2 questions left")
        visit.shows(".suggestion figcaption span", ["4 faces", "4 faces"])
        visit.shows(".suggestion-pair figure:first-child .photo-tile", [""] * 4)
        assert visit.barriers(axe) == []
        visit.named("button", "Yes, the same person").click()
        visit.says("settles 3 faces · 1 question left")
        visit.says("merged 2 people into somebody unnamed with 4 faces")
        visit.has(".notice", 0)  # it would lie over what is asked
        assert out_of_reach(visit) == []
        visit.named("button", "No, two").click()
        visit.says("Only faces of the background are left")  # one small face, seen once
        visit.named("button", "Ask me").click()
        visit.says("settles 1 face · 1 question left")
        visit.named("button", "Skip").click()
        visit.says("1 question skipped")
        visit.named("button", "Ask again").click()
        visit.says("settles 1 face · 1 question left")
        visit.named("button", "No, two").click()
        visit.says("Nothing to ask")
        assert visit.barriers(axe) == []
        assert client.albums.status("Doubt").people == 5
        assert client.albums.suggest("Doubt").suggestions == ()
