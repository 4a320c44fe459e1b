"""What the tests of uploads share: servers that go away and come back, and what a page is made to do."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING

from facewire.client import FaceClient
from facewire.client.errors import ClientError
from tests.browser.visit import Visit
from tests.support.waiting import eventually
from tests.support.web_server import Page, facewire_server, web_page

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

    from tests.browser.conftest import Visiting

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


def on_the_album(servers: Servers, visiting: Visiting, **options: object) -> Visit:
    visit = visiting(servers.web, **options)
    visit.refusals = {503}
    visit.go("/album?album=Trip")
    visit.says("This album is empty")
    visit.can_be_closed()
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
