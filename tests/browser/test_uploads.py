"""Uploads that outlive the page: closed, cut off from the server or the gateway, or with its worker killed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from facewire.client.web.places import Limits
from tests.browser.conftest import FLAGS, Visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser
from tests.browser.uploading import EMPTY, OUTBOX, SAFE, Servers, choose, kill_workers, on_the_album


def test_the_rest_arrives_while_no_page_is_open(
    servers: Servers, visiting: Visiting, axe: str, photos: list[Path]
) -> None:
    visit = on_the_album(servers, visiting, width="phone")
    servers.off("server")
    choose(visit.page, photos)
    visit.says("Uploading 13 files")
    visit.says("The server is unavailable; the upload resumes by itself.")
    visit.says(SAFE)
    assert visit.barriers(axe) == []
    visit.page.close()
    assert visit.context.pages == []
    servers.server_on()
    assert servers.arrived(photos=14, people=3)


def test_a_gateway_that_is_full_is_waited_for(servers: Servers, visiting: Visiting, photos: list[Path]) -> None:
    visit = on_the_album(servers, visiting)
    servers.off("web")
    choose(visit.page, photos)
    visit.says(SAFE)
    visit.page.close()
    servers.web_on(limits=Limits(requests=1))  # and four files are sent at a time: three are told to come back
    assert servers.arrived(photos=14, people=3)


def test_an_upload_that_ends_before_the_page_draws_it_shows(
    servers: Servers, visiting: Visiting, photos: list[Path]
) -> None:
    """A page draws uploads five times a second, or less often where its timers are slowed; a photo takes less."""
    visit = visiting(servers.web)
    visit.context.add_init_script(
        "{const real = setTimeout; window.setTimeout = (f, ms, ...more) => real(f, ms === 200 ? 2000 : ms, ...more);}"
    )
    visit.go("/album?album=Trip")
    visit.says("This album is empty")
    choose(visit.page, photos[:1])
    visit.says("1 person")


def test_a_gateway_that_was_started_again_is_no_obstacle(
    servers: Servers, visiting: Visiting, photos: list[Path]
) -> None:
    visit = on_the_album(servers, visiting)
    servers.off("web")
    choose(visit.page, photos)
    visit.says("The page's gateway is unavailable; the upload resumes by itself.")
    visit.says(SAFE)
    visit.page.close()
    servers.web_on()
    assert servers.arrived(photos=14, people=3)


def test_a_browser_that_was_closed_goes_on_when_any_page_is_opened(
    servers: Servers, browser: Browser, chromium: str, tmp_path: Path, photos: list[Path]
) -> None:
    profile = str(tmp_path / "profile")
    start: dict[str, Any] = {"executable_path": chromium, "headless": True, "args": list(FLAGS)}
    context = browser.browser_type.launch_persistent_context(profile, **start)
    page = context.new_page()
    page.goto(f"{servers.web.url}/album?album=Trip")
    page.get_by_text("This album is empty").wait_for()
    servers.off("server")
    choose(page, photos)
    page.get_by_text(SAFE).wait_for()
    assert page.evaluate(OUTBOX) == [1, 13]
    kill_workers(page)  # Chromium ends only some time after a worker that has something to do, or kills it
    context.close()
    servers.server_on()
    context = browser.browser_type.launch_persistent_context(profile, **start)
    try:
        page = context.new_page()
        page.goto(f"{servers.web.url}/people")
        assert servers.arrived(photos=14, people=3)
        page.get_by_text("14 photos added to Trip").wait_for()
        page.wait_for_function(EMPTY)
    finally:
        context.close()


def test_a_worker_that_was_killed_goes_on_when_a_page_is_opened(
    servers: Servers, visiting: Visiting, photos: list[Path]
) -> None:
    visit = on_the_album(servers, visiting)
    servers.off("server")
    choose(visit.page, photos)
    visit.says(SAFE)
    visit.go("/login")  # a page without scripts: it wakes nobody
    kill_workers(visit.page)
    servers.server_on()
    visit.go("/albums")
    visit.says("14 photos added to Trip")
    assert servers.arrived(photos=14, people=3)


# The album is being processed until `busy` is false; the page looks again only when `look()` says so; and what is said
# stays on the screen.
BUSY = """Object.assign(window, {busy: true, asked: 0});
{const [ask, later, never, looks] = [window.fetch, window.setTimeout, window.clearTimeout, new Map()];
window.look = () => { const all = [...looks.values()]; looks.clear(); all.forEach((one) => one()); };
window.fetch = async (path, options) => {
    const response = await ask(path, options);
    if (!String(path).includes('album.status') || !response.ok) return response;
    const answer = {...await response.json(), processing: window.busy};
    window.asked += 1;
    return new Response(JSON.stringify(answer));
};
window.setTimeout = (f, ms, ...more) => {
    if (ms === 7000) return 0;
    if (ms !== 1000) return later(f, ms, ...more);
    const id = 1e9 + Math.random();
    looks.set(id, f);
    return id;
};
window.clearTimeout = (id) => { if (!looks.delete(id)) never(id); };}"""


def test_the_end_is_said_once_and_pushes_nothing_out(servers: Servers, visiting: Visiting, photos: list[Path]) -> None:
    visit = visiting(servers.web)
    visit.context.add_init_script(BUSY)
    visit.go("/album?album=Trip")
    visit.says("This album is empty")
    choose(visit.page, photos[:1])
    visit.says("1 photo added to Trip.")
    assert servers.arrived(photos=1, people=1)
    online = "document.dispatchEvent(new CustomEvent('facewire:server', {detail: 'online'}))"
    visit.page.evaluate(f"() => {{ window.before = asked; for (let i = 0; i < 5; i++) {online}; }}")
    visit.page.wait_for_function("() => asked >= before + 5")
    visit.page.evaluate("() => { busy = false; look(); }")
    visit.says("Done: 1 person in 1 photo.")
    visit.page.evaluate("() => look()")
    visit.shows(".notice p", ["1 photo added to Trip.", "Done: 1 person in 1 photo."])
