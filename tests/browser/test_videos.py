"""A video in an album: its best frame, who is in it and when, and played, from there too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from facewire.client import FaceClient
from tests.browser.conftest import Visiting
from tests.support.web_server import facewire_server, web_page

PLAYER = "document.querySelector('.lightbox video')"


@pytest.fixture(scope="module")
def films() -> Any:
    return pytest.importorskip("tests.support.videos", reason="PyAV is not installed (requirements-video.txt)")


def test_a_video_is_played_in_the_lightbox(tmp_path: Path, visiting: Visiting, films: Any, axe: str) -> None:
    with facewire_server(tmp_path) as address, web_page(address) as web, FaceClient(*address) as client:
        client.albums.create("Trip")
        client.albums.add("Trip", "party.mp4", films.visit())  # one for four seconds, the other for the last four
        client.albums.process("Trip")
        for width in ("desktop", "phone"):
            visit = visiting(web, width)
            page = visit.page
            visit.go("/album?album=Trip#/photos")
            page.locator(".photo-tile").click()
            visit.has(".lightbox-times li", 2)
            page.locator(".lightbox .box").first.wait_for()
            assert visit.barriers(axe) == []
            visit.named("button", "Play", exact=True).click()
            page.wait_for_function(f"() => {PLAYER}.currentTime > 0.2")
            assert page.locator(".lightbox .box").count() == 0
            assert page.evaluate(f"() => document.activeElement === {PLAYER}")
            assert visit.barriers(axe) == []
            visit.named("button", "0:02\u20130:06: play from there").click()
            page.wait_for_function(f"() => {PLAYER}.currentTime >= 2")
            page.evaluate(f"() => {{ {PLAYER}.currentTime = 5.8; }}")
            page.locator(".lightbox .box").first.wait_for()  # it has ended: the frame again
            assert page.locator(".lightbox video").count() == 0
            assert page.evaluate("() => document.activeElement.textContent.trim()") == "Play"
            visit.named("button", "0:02\u20130:06: play from there").click()
            page.wait_for_function(f"() => {PLAYER}?.currentTime >= 2")
            page.keyboard.press("Escape")
            page.locator(".lightbox").wait_for(state="detached")


def test_a_video_that_the_browser_cannot_play(tmp_path: Path, visiting: Visiting, films: Any) -> None:
    frames = films.scene([(5, films.LEFT)], 1)
    with facewire_server(tmp_path) as address, web_page(address) as web, FaceClient(*address) as client:
        client.albums.create("Trip")
        client.albums.add("Trip", "old.mp4", films.encoded(frames, codec="mpeg4"))
        client.albums.process("Trip")
        visit = visiting(web)
        visit.go("/album?album=Trip#/photos")
        visit.page.locator(".photo-tile").click()
        visit.named("button", "Play", exact=True).click()
        visit.says("This browser can't play this video.")
        visit.page.locator(".lightbox img").wait_for()
