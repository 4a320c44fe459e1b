"""Uploads that are half there: copied or sent in part, broken off; and browsers that keep none."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from pathlib import Path

import pytest

from tests.browser.conftest import Visiting
from tests.browser.uploading import (
    EMPTY,
    HALF_COPIED,
    HALF_SENT,
    PIECE,
    SAFE,
    Servers,
    choose,
    on_the_album,
    zip_offsets,
)
from tests.support.synthetic_engine import portrait
from tests.support.web_server import web_page


def test_a_page_that_was_closed_while_it_copied_says_how_many_are_missing(servers: Servers, visiting: Visiting) -> None:
    visit = on_the_album(servers, visiting)
    visit.page.evaluate(HALF_COPIED)
    visit.go("/albums")
    visit.says("1 file not taken, one.jpg")
    visit.says("Trip: The page was closed before 2 of the files were copied. Drop them again.")


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


def test_a_large_video_is_sent_in_pieces(servers: Servers, visiting: Visiting, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV is not installed (requirements-video.txt)")
    from tests.support import videos

    film = videos.padded(videos.visit(), 9 * 1024 * 1024)
    (tmp_path / "party.mp4").write_bytes(film)
    visit = on_the_album(servers, visiting)
    choose(visit.page, [tmp_path / "party.mp4"])
    visit.says("1 photo added to Trip")
    visit.page.wait_for_function(EMPTY)
    assert servers.arrived(photos=1, people=2)
    with servers.client() as client:
        (photo,) = client.albums.photos("Trip").photos
        assert b"".join(piece.data for piece in client.albums.read_photo("Trip", photo.photo)) == film


# The connection is lost in the midst of an answer: to the first photo, and to the third piece of a ZIP.
BREAK_OFF = """const [ask, seen] = [window.fetch, new Set()];
window.fetch = async (path, options) => {
    const response = await ask(path, options);
    const which = ['/api/album/add', '&offset=4194304'].find((part) => String(path).includes(part));
    if (!which || seen.has(which)) return response;
    seen.add(which);
    return new Response(new ReadableStream({start: (body) => body.error(new TypeError('network error'))}));
};"""


# The page looks every 20 seconds whether the server is there.
NEVER_BY_ITSELF = """{const real = setTimeout;
window.setTimeout = (f, ms, ...more) => (ms === 20000 ? 0 : real(f, ms, ...more));}"""


def test_an_answer_that_breaks_off_is_asked_for_again(
    servers: Servers, visiting: Visiting, photos: list[Path], large: Path
) -> None:
    visit = visiting(servers.web)
    visit.context.add_init_script(NO_WORKERS + BREAK_OFF + NEVER_BY_ITSELF)
    offsets = zip_offsets(visit.page)
    visit.go("/album?album=Trip")
    visit.says("This album is empty")
    choose(visit.page, [photos[1], large])
    visit.says("1 photo added to Trip, 1 already there")  # the answer was lost, not the photo
    visit.page.locator("#status").get_by_text("0 people").wait_for()  # it asked at once: by itself it never would
    assert offsets.count(2 * PIECE) == 2
    assert offsets == sorted(offsets)
    assert servers.arrived(photos=2, people=2)


# The worker is registered only when `go()` is called.
LATE = """{const real = navigator.serviceWorker.register;
const called = new Promise((resolve) => { window.go = resolve; });
ServiceWorkerContainer.prototype.register = async function (...all) { await called; return real.apply(this, all); };}"""


def test_a_gateway_that_goes_before_the_worker_is_there(
    servers: Servers, visiting: Visiting, photos: list[Path]
) -> None:
    visit = visiting(servers.web)
    visit.context.add_init_script(LATE)
    visit.go("/album?album=Trip")
    visit.says("This album is empty")
    servers.off("web")
    visit.page.evaluate("go()")
    choose(visit.page, photos)
    visit.says("Keep this page open: its gateway stopped before this browser was ready to send files without the page")


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
        (NO_ROOM, "127.0.0.1", "these files don't fit into the browser's storage"),
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
        visit.named("button", "Continue").click()
        visit.says("14 photos added to Trip")
        assert servers.arrived(photos=14, people=3)
        # browsers say that without TLS they can't keep our windows apart from others'
        visit.complaints = [one for one in visit.complaints if "Cross-Origin-Opener-Policy" not in one]
