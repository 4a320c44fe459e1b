"""Takes screenshots of the web page for README and docs/web: synthetic people, a real server, Debian's Chromium.

    python -m lab.web_screenshots --out docs/web

Needs the packages of requirements-dev.txt and requirements-web.txt, and Chromium. Nobody in the pictures is real.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facewire.client import FaceClient
from facewire.scripts.demo import PEOPLE, PROBES, choose_model, run
from facewire.scripts.serving import ROOT, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ALBUM = "Weekend by the sea"
NAMED = 7  # named people of the album; the others stay unnamed
DAYS = (("2026-08-01", "Saturday"), ("2026-08-02", "Sunday"))
WIDE, NARROW = (1440, 900), (375, 812)
MAX_BYTES = 280_000  # per PNG, to keep the repository small
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip


# Pictures further down are only loaded on scrolling.
_SEEN_IS_LOADED = """() => [...document.images].every(
    (image) => image.complete || image.getBoundingClientRect().top > innerHeight)"""


def main() -> int:
    """Writes the screenshots; returns the exit code."""
    parser = argparse.ArgumentParser("web_screenshots.py", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "web", help="(default: %(default)s)")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium", help="(default: %(default)s)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as room_:
        room = Path(room_)
        model, networks = choose_model()
        run("scripts/create_db.py", str(PEOPLE), "--db", str(room / "people.db"), "--model", model, *networks)
        with (
            serving(str(room / "people.db"), networks, room / "server.log") as port,
            FaceClient("127.0.0.1", port, timeout=300) as client,
            _page(port) as url,
        ):
            _fill_album(client)
            _shoot_all(url, args.chromium, args.out)
    return 0


@contextlib.contextmanager
def _page(server_port: int) -> Iterator[str]:
    """The URL of a web page for that server."""
    command = [sys.executable, "web_app.py", "--server", f"127.0.0.1:{server_port}", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().rsplit(" ", 1)[1].strip().rstrip("/")
        finally:
            process.terminate()


# ---------------------------------------------------------------------------------------------- an album


def _fill_album(client: FaceClient) -> None:
    """Adds photos of one to three synthetic people in front of soft backgrounds."""
    chance = random.Random(8)
    portraits = [[_read(path) for path in sorted(person.iterdir())] for person in sorted(PEOPLE.iterdir())]
    client.albums.create(ALBUM)
    for number in range(40):
        who = chance.sample(portraits, chance.choice((1, 1, 2, 2, 3)))
        photo = _photo([chance.choice(pictures) for pictures in who], chance)
        day, name = DAYS[number % 2]
        taken = f"{day}T{9 + number // 5:02d}:{number:02d}:00"
        client.albums.add(ALBUM, f"{name}/IMG_{2040 + number}.jpg", photo, modified=taken)
    for name, probe in (("view", "no_face"), ("everybody", "group_of_five")):
        taken = f"{DAYS[1][0]}T20:00:00"
        client.albums.add(ALBUM, f"Sunday/{name}.jpg", (PROBES / f"{probe}.jpg").read_bytes(), modified=taken)
    client.albums.process(ALBUM)
    for match in client.albums.recognise(ALBUM).matches[:NAMED]:
        client.albums.label(ALBUM, match.person, match.name)


def _read(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path))
    assert image is not None
    return np.asarray(image, np.uint8)


def _photo(faces: list[NDArray[np.uint8]], chance: random.Random) -> bytes:
    """The faces side by side, their edges faded into a gradient; a JPEG."""
    side = 300
    height, width = 420, 130 + 250 * len(faces)
    sky, ground = (_muted(chance) for _ in range(2))
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    picture = np.broadcast_to(sky * (1 - down) + ground * down, (height, width, 3)).copy()
    yy, xx = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    alpha = np.clip((1.0 - np.hypot(xx * 1.15, yy * 1.02)) / 0.35, 0, 1)[..., None].astype(np.float32)
    for place, face in enumerate(faces):
        top, left = chance.randint(30, height - side - 10), 40 + 250 * place
        patch = picture[top : top + side, left : left + side]
        patch[:] = patch * (1 - alpha) + cv2.resize(face, (side, side)).astype(np.float32) * alpha
    done, data = cv2.imencode(".jpg", picture.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert done
    return data.tobytes()


def _muted(chance: random.Random) -> NDArray[np.float32]:
    """A grey with a little colour in it."""
    grey = chance.randint(95, 165)
    return np.array([grey + chance.randint(-16, 16) for _ in range(3)], np.float32)


# ---------------------------------------------------------------------------------------------- pictures of it


def _shoot_all(url: str, chromium: str, out: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=list(FLAGS))
        for name, size, scheme in (
            ("light", WIDE, "light"),
            ("phone-dark", NARROW, "dark"),
            ("dark", WIDE, "dark"),
        ):
            _tour(browser, url, name, size, scheme, out)
        browser.close()


def _tour(browser: Browser, url: str, name: str, size: tuple[int, int], scheme: str, out: Path) -> None:
    """Takes every main view in one size and colour scheme."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(f"{url}/identify")
    page.set_input_files("#files", [PROBES / f"{one}.jpg" for one in ("group_of_five", "stranger", "kim_solberry")])
    page.wait_for_function("() => document.querySelectorAll('.strip-count').length === 3")
    page.locator(".box").nth(2).wait_for()
    _shoot(page, out / f"identify-{name}.png")
    page.goto(f"{url}/people")
    page.locator(".tile img").first.wait_for()
    _shoot(page, out / f"people-{name}.png")
    page.goto(f"{url}/album?album={ALBUM}")
    page.locator("#view .tile img").first.wait_for()
    _shoot(page, out / f"album-{name}.png")
    page.locator("#tab-naming").click()
    page.locator(".naming-strip img").first.wait_for()
    _shoot(page, out / f"naming-{name}.png")
    page.locator("#tab-photos").click()
    page.locator(".photo-tile img").first.wait_for()
    _shoot(page, out / f"photos-{name}.png")
    page.locator("#tab-people").click()
    page.locator("#view .tile").nth(1).click()
    page.locator(".photo-tile img").first.wait_for()
    _shoot(page, out / f"person-{name}.png")
    page.locator("#tab-find").click()
    page.locator(".drop input").set_input_files(PROBES / "group_of_five.jpg")
    page.locator(".sample .box").nth(4).wait_for()
    for _ in range(3):  # keep the two largest faces for the search
        page.locator('.sample .box[aria-pressed="true"]').nth(2).click()
    page.locator(".vgrid .photo-tile img").first.wait_for()
    _shoot(page, out / f"find-{name}.png")
    context.close()


def _shoot(page: Page, path: Path) -> None:
    page.mouse.move(0, 0)
    page.wait_for_function(_SEEN_IS_LOADED)
    time.sleep(0.5)  # for thumbnails that have just come into view; nothing is asserted here
    page.screenshot(path=path)
    _shrink(path)
    print(f"{path} {path.stat().st_size / 1000:.0f} kB")


def _shrink(path: Path) -> None:
    """Reduces the PNG to a palette, with fewer colours as long as it is too large."""
    picture = Image.open(path).convert("RGB")
    for colours in (256, 128, 64):
        # This method also keeps colours of few pixels, such as the green "online" dot. No dithering, because PNG
        # compresses its noise badly.
        palette = picture.quantize(colours, method=Image.Quantize.MAXCOVERAGE)
        picture.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size < MAX_BYTES:
            return


if __name__ == "__main__":
    sys.exit(main())
