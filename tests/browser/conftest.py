"""A real browser before a real gateway before a real server: Debian's Chromium, driven by Playwright, and of its builds
the one without windows, if it is there (0028).

Where there is no Chromium these tests skip and say so; .ci/run sets FACEWIRE_REQUIRE_BROWSER, and then that is a
failure.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from tests.browser.camera import mjpeg
from tests.browser.firefox import launch
from tests.browser.furnished import furnish
from tests.browser.uploading import PHOTOS, Servers
from tests.browser.visit import PATIENCE_MS, Visit
from tests.support.synthetic_engine import portrait
from tests.support.web_server import Page, facewire_server, web_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

AXE = Path(__file__).with_name("node_modules") / "axe-core" / "axe.min.js"
CAMERA_FACE = 23  # the colour that the fake camera sees
WIDTHS = {"desktop": (1440, 900), "phone": (375, 812)}
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream", "--host-resolver-rules=MAP photos.example 127.0.0.1",
)  # fmt: skip


def missing(reason: str, what: str = "BROWSER") -> NoReturn:
    """Skips, saying why; where it must be there, that is a failure."""
    if os.environ.get(f"FACEWIRE_REQUIRE_{what}"):
        pytest.fail(f"{reason}, and FACEWIRE_REQUIRE_{what} is set")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed (requirements-dev.txt)")
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        missing(
            "there is no Chromium here (Debian: apt-get install chromium-headless-shell), so nothing looks at the page"
        )
    return found


@pytest.fixture(scope="session")
def firefox(tmp_path_factory: pytest.TempPathFactory, playwright: Playwright) -> Iterator[Browser]:
    program = shutil.which("firefox-esr")
    if program is None:
        missing("there is no Firefox here (Debian: apt-get install firefox-esr)", "FIREFOX")
    browser = launch(playwright, program, tmp_path_factory.mktemp("firefox"))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def browser(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, playwright: Playwright
) -> Iterator[Browser]:
    """Chromium; with FACEWIRE_BROWSER=firefox, Firefox (0087)."""
    if os.environ.get("FACEWIRE_BROWSER") == "firefox":
        yield request.getfixturevalue("firefox")
        return
    film = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    film.write_bytes(mjpeg(CAMERA_FACE))
    browser = playwright.chromium.launch(
        executable_path=request.getfixturevalue("chromium"),
        headless=True,
        args=[*FLAGS, f"--use-file-for-fake-video-capture={film}"],
    )
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's source: what finds barriers in a page."""
    return axe_source()


def axe_source() -> str:
    if not AXE.is_file():
        missing("axe-core is not there (npm install --prefix tests/browser), so nothing looks for barriers")
    return AXE.read_text(encoding="utf-8")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Page]:
    """The page of an empty server."""
    with facewire_server(tmp_path) as address, web_page(address) as page:
        yield page


Visiting = Callable[..., Visit]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page before a furnished server."""
    with facewire_server(tmp_path_factory.mktemp("full")) as address:
        furnish(address)
        with web_page(address) as web:
            yield web


@pytest.fixture
def visiting(browser: Browser) -> Iterator[Visiting]:
    """`visiting(web, "phone")`: a new browser profile; at the end, nothing may have gone wrong in it unseen."""
    visits: list[Visit] = []

    def open_(web: Page, width: str = "desktop", **options: Any) -> Visit:
        across, down = WIDTHS[width]
        if browser.browser_type.name == "chromium":  # Firefox has it of its profile (firefox.py)
            options["reduced_motion"] = "reduce"
        context = browser.new_context(viewport={"width": across, "height": down}, accept_downloads=True, **options)
        context.set_default_timeout(PATIENCE_MS)
        visits.append(Visit(context, web))
        return visits[-1]

    yield open_
    for visit in visits:
        visit.context.close()
    for visit in visits:
        assert visit.complaints == []


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
