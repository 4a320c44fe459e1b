"""Uploads that somebody looks at, stops, or whose album or login changes meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import Visiting
from tests.browser.uploading import EMPTY, OUTBOX, SAFE, Servers, choose, on_the_album
from tests.browser.visit import Visit


def test_every_page_shows_it_and_can_stop_it(servers: Servers, visiting: Visiting, photos: list[Path]) -> None:
    visit = on_the_album(servers, visiting)
    other = visit.context.new_page()
    other.goto(f"{servers.web.url}/albums")
    other.get_by_text("nobody found yet").wait_for()
    servers.off("server")
    choose(visit.page, photos)
    visit.says(SAFE)
    other.get_by_text("uploading, 0% of").wait_for()
    other.goto(f"{servers.web.url}/album?album=Trip")
    other.get_by_text("Uploading 13 files").wait_for()
    other.get_by_role("button", name="Stop").click()
    visit.says("You stopped the upload")
    servers.server_on()
    visit.page.locator("#offline").wait_for(state="hidden")
    visit.page.reload()
    visit.says("You stopped the upload")
    assert visit.page.evaluate(OUTBOX) == [1, 13]  # nobody went on
    visit.named("button", "Continue").click()
    assert servers.arrived(photos=14, people=3)
    visit.page.locator("#view .tile").nth(2).wait_for()
    other.locator("#view .tile").nth(2).wait_for()
    visit.page.wait_for_function(EMPTY)


def test_what_was_stopped_can_be_left(servers: Servers, visiting: Visiting, photos: list[Path]) -> None:
    visit = on_the_album(servers, visiting)
    servers.off("server")
    choose(visit.page, photos)
    visit.says(SAFE)
    visit.named("button", "Stop").click()
    visit.named("button", "Leave it").click()
    visit.page.locator(".task").wait_for(state="detached")
    visit.page.wait_for_function(EMPTY)


def test_two_uploads_wait_for_each_other_and_say_what_was_there(
    servers: Servers, visiting: Visiting, photos: list[Path]
) -> None:
    visit = on_the_album(servers, visiting)
    servers.off("server")
    choose(visit.page, photos[:5])
    visit.says("Uploading 5 files")
    choose(visit.page, photos)
    visit.says("Uploading 13 files")
    servers.server_on()
    visit.says("5 photos added to Trip.")
    visit.says("9 photos added to Trip, 5 already there.")
    assert servers.arrived(photos=14, people=3)


def test_an_album_renamed_meanwhile_gets_them_under_its_new_name(
    servers: Servers, visiting: Visiting, photos: list[Path]
) -> None:
    visit = on_the_album(servers, visiting)
    servers.off("server")
    choose(visit.page, photos)
    visit.says(SAFE)
    visit.named("button", "Stop").click()
    servers.server_on()
    visit.page.locator("#offline").wait_for(state="hidden")
    visit.refusals |= {404}  # the page may just ask for the album under its old name
    visit.named("button", "Rename the album").click()
    visit.page.get_by_label("New name").fill("Journey")
    visit.named("dialog", "Rename the album").get_by_role("button", name="Rename").click()
    visit.page.locator("h1", has_text="Journey").wait_for()
    visit.named("button", "Continue").click()
    visit.says("14 photos added to Journey")


def test_an_album_deleted_meanwhile(servers: Servers, visiting: Visiting, photos: list[Path]) -> None:
    visit = on_the_album(servers, visiting)
    visit.refusals |= {404}
    servers.off("web")
    choose(visit.page, photos)
    visit.says(SAFE)
    with servers.client() as client:
        client.albums.delete("Trip")
    visit.leave()  # the page of the gateway before would load itself anew, and cut short that we open another
    servers.web_on()
    visit.go("/albums")
    visit.says("Trip: The album was deleted, so the remaining files were dropped.")
    visit.page.wait_for_function(EMPTY)


@pytest.mark.parametrize("servers", ["open sesame"], indirect=True)
def test_logging_out_leaves_no_picture_in_the_browser(servers: Servers, visiting: Visiting, photos: list[Path]) -> None:
    visit = visiting(servers.web)
    visit.refusals = {503}
    visit.go("/login")
    log_in(visit)
    visit.go("/album?album=Trip")
    visit.says("This album is empty")
    visit.can_be_closed()
    servers.off("server")
    choose(visit.page, photos)
    visit.says(SAFE)
    assert visit.page.evaluate(OUTBOX) == [1, 13]
    visit.named("button", "Log out").click()
    visit.says("This server requires a token")
    visit.page.wait_for_function(EMPTY)
    assert visit.page.evaluate("async () => (await navigator.serviceWorker.getRegistrations()).length") == 0


@pytest.mark.parametrize("servers", ["open sesame"], indirect=True)
def test_a_login_that_was_lost_is_waited_for(servers: Servers, visiting: Visiting, photos: list[Path]) -> None:
    visit = visiting(servers.web)
    visit.refusals = {401, 503}
    visit.go("/login")
    log_in(visit)
    visit.go("/album?album=Trip")
    visit.says("This album is empty")
    visit.can_be_closed()
    servers.off("web")  # logins live in its memory
    choose(visit.page, photos)
    visit.says(SAFE)
    visit.leave()  # this page would go to the login by itself, and cut short that we open another
    servers.web_on()
    visit.go("/albums")
    visit.says("This server requires a token")
    assert visit.page.evaluate(OUTBOX) == [1, 13]
    log_in(visit)
    visit.says("14 photos added to Trip")
    assert servers.arrived(photos=14, people=3)


def log_in(visit: Visit) -> None:
    visit.page.get_by_label("Token").fill("open sesame")
    visit.page.keyboard.press("Enter")
    visit.says("Faces appear here")
