"""Uploads that outlive the page: closed, reloaded, cut off from the server or the gateway, stopped, logged out of."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from facewire.client import FaceClient
from facewire.client.errors import ClientError
from facewire.client.web.places import Limits
from tests.browser.conftest import FLAGS, Visiting
from tests.browser.visit import Visit
from tests.support.synthetic_engine import portrait
from tests.support.waiting import eventually
from tests.support.web_server import Page, facewire_server, web_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

PHOTOS = 12
PIECE = 2 * 1024 * 1024  # of a ZIP, as uploads.js sends them
SAFE = "You can close this page"


def program(name: str) -> str:
    """One of the functions in tests/browser/programs, as the page runs it."""
    source = (Path(__file__).parent / "programs" / name).read_text(encoding="utf-8")
    return source[source.index("async") :]


OUTBOX = program("outbox.js")
EMPTY = f"async () => String(await ({OUTBOX})()) === '0,0'"
HALF_COPIED = program("half_copied.js")
HALF_SENT = program("half_sent.js")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Some photos, and a ZIP of two more: 14 photos of 3 people."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(PHOTOS):
        (folder / f"{number}.png").write_bytes(portrait((7, 30, 52)[number % 3], shade=number))
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        for number in range(2):
            archive.writestr(f"more/{number}.png", portrait(7, shade=100 + number))
    return sorted(folder.iterdir())


@dataclasses.dataclass
class Servers:
    """A server and a gateway that can go away and come back at the same addresses."""

    room: Path
    token: str | None = None
    stack: dict[str, contextlib.ExitStack] = dataclasses.field(default_factory=dict)
    address: tuple[str, int] = ("127.0.0.1", 0)
    web: Page = dataclasses.field(default_factory=lambda: Page("127.0.0.1", 0))

    def server_on(self) -> None:
        self.stack["server"] = contextlib.ExitStack()
        self.address = self.stack["server"].enter_context(
            facewire_server(self.room, port=self.address[1], token=self.token)
        )

    def web_on(self, **settings: object) -> None:
        self.stack["web"] = contextlib.ExitStack()
        self.web = self.stack["web"].enter_context(web_page(self.address, port=self.web.port, **settings))

    def off(self, which: str) -> None:
        if which in self.stack:
            self.stack.pop(which).close()

    def client(self) -> FaceClient:
        return FaceClient(*self.address, token=self.token)

    def arrived(self, photos: int, people: int) -> bool:
        """Whether, sooner or later, the album has that many, everybody in them found."""

        def there() -> bool:
            try:
                with self.client() as client:
                    album = client.albums.status("Trip")
            except ClientError:
                return False
            return (album.photos, album.people, album.processing) == (photos, people, False)

        return eventually(there)


@pytest.fixture
def servers(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Servers]:
    room = tmp_path / "served"
    room.mkdir()
    both = Servers(room, getattr(request, "param", None))
    both.server_on()
    both.web_on()
    with both.client() as client:
        client.albums.create("Trip")
    yield both
    both.off("web")
    both.off("server")


def on_the_album(servers: Servers, visiting: Visiting, **options: object) -> Visit:
    visit = visiting(servers.web, **options)
    visit.refusals = {503}
    visit.go("/album?album=Trip")
    visit.says("This album is empty")
    return visit


def zip_offsets(page: Tab) -> list[int]:
    """Grows: where each piece of a ZIP begins that the page sends from now on."""
    offsets: list[int] = []
    page.on("request", lambda request: offsets.extend(map(int, re.findall(r"zip.*&offset=(\d+)", request.url))))
    return offsets


def choose(page: Tab, photos: list[Path]) -> None:
    page.set_input_files("#choose-files", photos)


def kill_workers(page: Tab) -> None:
    """As the browser does with a worker that has run for too long."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("ServiceWorker.enable")
    devtools.send("ServiceWorker.stopAllWorkers")


def test_the_rest_arrives_while_no_page_is_open(
    servers: Servers, visiting: Visiting, axe: str, photos: list[Path]
) -> None:
    visit = on_the_album(servers, visiting, width="phone")
    servers.off("server")
    choose(visit.page, photos)
    visit.says("Uploading 13 files")
    visit.says("The server is away; this goes on by itself.")
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
    visit.says("The page's gateway is away; this goes on by itself.")
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


def test_every_page_shows_it_and_can_stop_it(servers: Servers, visiting: Visiting, photos: list[Path]) -> None:
    visit = on_the_album(servers, visiting)
    other = visit.context.new_page()
    other.goto(f"{servers.web.url}/albums")
    other.get_by_text("nobody found yet").wait_for()
    servers.off("server")
    choose(visit.page, photos)
    visit.says(SAFE)
    other.get_by_text("uploading, 0 % of").wait_for()
    other.goto(f"{servers.web.url}/album?album=Trip")
    other.get_by_text("Uploading 13 files").wait_for()
    other.get_by_role("button", name="Stop").click()
    visit.says("You stopped the upload")
    servers.server_on()
    visit.page.locator("#offline").wait_for(state="hidden")
    visit.page.reload()
    visit.says("You stopped the upload")
    assert visit.page.evaluate(OUTBOX) == [1, 13]  # nobody went on
    visit.named("button", "Go on").click()
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
    assert visit.page.evaluate(OUTBOX) == [0, 0]


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
    visit.says("9 photos added to Trip, 5 there already.")
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
    visit.named("button", "Go on").click()
    visit.says("14 photos added to Journey")


def test_an_album_deleted_meanwhile(servers: Servers, visiting: Visiting, photos: list[Path]) -> None:
    visit = on_the_album(servers, visiting)
    visit.refusals |= {404}
    servers.off("web")
    choose(visit.page, photos)
    visit.says(SAFE)
    with servers.client() as client:
        client.albums.delete("Trip")
    servers.web_on()
    visit.go("/albums")
    visit.says("Trip: The album is gone, and what was still to come was dropped.")
    visit.page.wait_for_function(EMPTY)


@pytest.mark.parametrize("servers", ["open sesame"], indirect=True)
def test_logging_out_leaves_no_picture_in_the_browser(servers: Servers, visiting: Visiting, photos: list[Path]) -> None:
    visit = visiting(servers.web)
    visit.refusals = {503}
    visit.go("/login")
    log_in(visit)
    visit.go("/album?album=Trip")
    visit.says("This album is empty")
    servers.off("server")
    choose(visit.page, photos)
    visit.says(SAFE)
    assert visit.page.evaluate(OUTBOX) == [1, 13]
    visit.named("button", "Log out").click()
    visit.says("This server asks for its token")
    assert visit.page.evaluate(OUTBOX) == [0, 0]
    assert visit.page.evaluate("async () => (await navigator.serviceWorker.getRegistrations()).length") == 0


@pytest.mark.parametrize("servers", ["open sesame"], indirect=True)
def test_a_login_that_was_lost_is_waited_for(servers: Servers, visiting: Visiting, photos: list[Path]) -> None:
    visit = visiting(servers.web)
    visit.refusals = {401, 503}
    visit.go("/login")
    log_in(visit)
    visit.go("/album?album=Trip")
    visit.says("This album is empty")
    servers.off("web")  # logins live in its memory
    choose(visit.page, photos)
    visit.says(SAFE)
    servers.web_on()
    visit.go("/albums")
    visit.says("This server asks for its token")
    assert visit.page.evaluate(OUTBOX) == [1, 13]
    log_in(visit)
    visit.says("14 photos added to Trip")
    assert servers.arrived(photos=14, people=3)


def log_in(visit: Visit) -> None:
    visit.page.get_by_label("Token").fill("open sesame")
    visit.page.keyboard.press("Enter")
    visit.says("Faces show up here")


def test_a_page_that_was_closed_while_it_copied_says_how_many_are_missing(servers: Servers, visiting: Visiting) -> None:
    visit = on_the_album(servers, visiting)
    visit.page.evaluate(HALF_COPIED)
    visit.go("/albums")
    visit.says("1 file not taken, one.jpg")
    visit.says("Trip: The page was closed before 2 of the files had been copied. Drop them again.")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A ZIP of 48 MiB: 24 pieces. One photo, and a film that is no photo."""
    path = tmp_path / "large.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ada.png", portrait(7))
        archive.writestr("film.mov", bytes(48 * 1024 * 1024))
    return path


def test_the_worker_goes_on_with_a_zip_at_the_byte_that_the_server_has(servers: Servers, visiting: Visiting) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("ada.png", portrait(7))
    data = packed.getvalue()
    half = len(data) // 2
    first = json.loads(servers.web.visitor().send("POST", "/api/album/zip?album=Trip", data[:half])[2])
    visit = on_the_album(servers, visiting)
    # only the second half is right: were the first sent again, there would be no photo
    visit.page.evaluate(HALF_SENT, {"bytes": list(bytes(half) + data[half:]), "place": first})
    visit.says("1 photo added to Trip")
    visit.page.wait_for_function(EMPTY)


def test_a_zip_dropped_again_goes_on_at_the_byte_that_the_server_has(
    servers: Servers, visiting: Visiting, large: Path
) -> None:
    visit = visiting(servers.web)
    visit.context.add_init_script(NO_WORKERS)
    offsets = zip_offsets(visit.page)
    visit.go("/album?album=Trip")
    visit.says("This album is empty")
    with visit.page.expect_request(lambda request: "offset=4194304" in request.url):
        choose(visit.page, [large])
    visit.page.on("dialog", lambda dialog: dialog.accept())  # "Leave the page?"
    visit.page.reload()
    visit.says("This album is empty")
    so_far = max(offsets)
    offsets.clear()
    choose(visit.page, [large])
    visit.says("1 photo added to Trip")
    assert 0 < offsets[0] <= so_far + PIECE
    assert offsets == sorted(offsets)


# The connection is lost in the midst of an answer: to the first photo, and to the third piece of a ZIP.
BREAK_OFF = """const [ask, seen] = [window.fetch, new Set()];
window.fetch = async (path, options) => {
    const response = await ask(path, options);
    const which = ['/api/album/add', '&offset=4194304'].find((part) => String(path).includes(part));
    if (!which || seen.has(which)) return response;
    seen.add(which);
    return new Response(new ReadableStream({start: (body) => body.error(new TypeError('network error'))}));
};"""


def test_an_answer_that_breaks_off_is_asked_for_again(
    servers: Servers, visiting: Visiting, photos: list[Path], large: Path
) -> None:
    visit = visiting(servers.web)
    visit.context.add_init_script(NO_WORKERS + BREAK_OFF)
    offsets = zip_offsets(visit.page)
    visit.go("/album?album=Trip")
    visit.says("This album is empty")
    choose(visit.page, [photos[1], large])
    visit.says("1 photo added to Trip, 1 there already")  # the answer was lost, not the photo
    visit.page.locator("#status").get_by_text("0 people").wait_for(timeout=15_000)  # sooner than it would ask anyway
    assert offsets.count(2 * PIECE) == 2
    assert offsets == sorted(offsets)
    assert servers.arrived(photos=2, people=2)


NO_WORKERS = "Object.defineProperty(Navigator.prototype, 'serviceWorker', {get: () => undefined});"
FULL = """const put = IDBObjectStore.prototype.put;
IDBObjectStore.prototype.put = function (row) {
    if (this.name === 'files') throw new DOMException('the disk is full', 'QuotaExceededError');
    return put.call(this, row);
};"""
NO_ROOM = "StorageManager.prototype.estimate = async () => ({quota: 1000, usage: 0});"


@pytest.mark.parametrize(
    ("script", "host", "reason"),
    [
        (NO_WORKERS, "127.0.0.1", "this browser sends files from open pages only"),
        (NO_ROOM, "127.0.0.1", "these files do not fit into the browser's own storage"),
        (FULL, "127.0.0.1", "the browser could not keep a copy of these files"),
        ("", "photos.example", "only on this machine (localhost) or over TLS"),
    ],
    ids=["no service worker", "no room", "less room than it said", "plain http elsewhere"],
)
def test_where_the_browser_cannot_the_page_sends_and_must_stay(
    servers: Servers, visiting: Visiting, photos: list[Path], script: str, host: str, reason: str
) -> None:
    servers.off("web")
    with web_page(servers.address, names=frozenset({host})) as web:
        visit = visiting(dataclasses.replace(web, host=host))
        visit.refusals = {503}
        visit.context.add_init_script(script)
        visit.go("/album?album=Trip")
        visit.says("This album is empty")
        visit.named("button", "Rename the album").click()
        visit.named("dialog", "Rename the album").get_by_role("button", name="Cancel").click()
        servers.off("server")
        choose(visit.page, photos)
        visit.says(f"Keep this page open: {reason}" if script else reason)
        assert visit.page.get_by_text(SAFE).count() == 0
        visit.named("button", "Stop").click()
        visit.says("You stopped the upload")
        servers.server_on()
        visit.page.locator("#offline").wait_for(state="hidden")
        visit.named("button", "Go on").click()
        visit.says("14 photos added to Trip")
        assert servers.arrived(photos=14, people=3)
        # browsers say that without TLS they can't keep our windows apart from others'
        visit.complaints = [one for one in visit.complaints if "Cross-Origin-Opener-Policy" not in one]
