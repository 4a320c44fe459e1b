"""How long the first photo of an album takes on a slow line: 400 kbit/s and 400 ms, as slow 3G has them.

    python -m tests.browser.slow_line [--view photos] [--photos 200] [--runs 3]

A phone opens an album at its photos (or its people), with an empty cache, then once more in the same profile. Prints,
in seconds after the address was entered, when the page's own HTML was there, when something was painted, when the
first picture of a tile on the screen was there, and when the view's code had drawn its tiles, so that the page can be
used; and how many bytes and requests came until the first picture did, and until the page could be used: the median of
the runs. Chromium emulates the line: a request waits for the latency, and all answers share the rate; connecting costs
nothing.
"""

from __future__ import annotations

import argparse
import io
import shutil
import statistics
import sys
import tempfile
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from facewire.client import FaceClient
from tests.browser.conftest import FLAGS, WIDTHS
from tests.support.web_server import facewire_server, web_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

LATENCY_MS, KBIT = 400, 400
PIXEL_RATIO = 2  # of a phone
# What is chosen by is drawn by the view's code alone. `encodedBodySize` is 0 out of the cache.
_LOADED = """() => {
    const onScreen = (one) => one.getClientRects().length && one.getBoundingClientRect().top < innerHeight;
    const images = [...document.querySelectorAll('#view .tile img')].filter((one) => one.complete && onScreen(one));
    window.usedAt ??= document.querySelector('#view .pick') ? performance.now() : undefined;
    if (!window.usedAt || !images.some((one) => one.naturalWidth)) return null;
    const all = performance.getEntriesByType('resource');
    const ends = images.map(({src}) => all.find(({name}) => name === src)?.responseEnd).filter(Boolean);
    const tile = Math.min(...ends);
    const page = performance.getEntriesByType('navigation')[0];
    const sent = (end) => [page, ...all].filter((one) => one.transferSize > 0 && one.responseEnd <= end);
    const kilobytes = (end) => sent(end).reduce((sum, one) => sum + one.transferSize, 0) / 1000;
    const [paint] = performance.getEntriesByName('first-contentful-paint');
    return {
        html: page.responseEnd / 1000, paint: paint.startTime / 1000,
        tile: tile / 1000, usable: window.usedAt / 1000, kilobytes: kilobytes(tile), requests: sent(tile).length,
        all_kilobytes: kilobytes(window.usedAt), all_requests: sent(window.usedAt).length,
    };
}"""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds until each was there; what was sent until the tile was, and until the page could be used."""

    html: float
    paint: float
    tile: float
    usable: float
    kilobytes: float
    requests: float
    all_kilobytes: float
    all_requests: float

    def __str__(self) -> str:
        return (
            f"first tile after {self.tile:.2f} s (HTML {self.html:.2f}, paint {self.paint:.2f}; "
            f"{self.kilobytes:.0f} kB in {self.requests:.0f} requests), "
            f"usable after {self.usable:.2f} s ({self.all_kilobytes:.0f} kB in {self.all_requests:.0f} requests)"
        )


def main() -> int:
    """Gives the exit code."""
    parser = argparse.ArgumentParser("slow_line.py", description=__doc__)
    parser.add_argument("--photos", type=int, default=200, help="(default: %(default)s)")
    parser.add_argument("--view", choices=("photos", "people"), default="photos", help="(default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium", help="(default: %(default)s)")
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as room, facewire_server(Path(room)) as address:
        with FaceClient(*address, timeout=600) as client:
            _fill(client, args.photos)
        with web_page(address) as web, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=args.chromium, headless=True, args=list(FLAGS))
            url = f"{web.url}/album?album=Trip#/{args.view}"
            _visit(browser, url)  # the server makes its thumbnails once: not a matter of the line
            runs = [_visit(browser, url) for _ in range(args.runs)]
            browser.close()
    print(f"{args.view} of {args.photos} photos, {KBIT} kbit/s, {LATENCY_MS} ms, median of {args.runs}")
    for name, times in zip(("cold", "warm"), zip(*runs, strict=True), strict=True):
        print(f"{name}: {_median(times)}", flush=True)
    return 0


def _fill(client: FaceClient, photos: int) -> None:
    """An album of pictures as rich in detail as photos are: noise whose power falls with its frequency."""
    chance = np.random.default_rng(1)
    fine = np.hypot(np.fft.fftfreq(768)[:, None], np.fft.rfftfreq(1024)[None]) + 1 / 1024
    noises = [np.fft.irfft2(np.fft.rfft2(chance.standard_normal((768, 1024))) / fine**1.4) for _ in range(4)]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(photos):
            noise = np.roll(noises[number % len(noises)], chance.integers(768), axis=0)
            grey = noise / noise.std() * 45 + 128
            tint = chance.uniform(0.7, 1.2, 3)
            done, data = cv2.imencode(".jpg", (grey[..., None] * tint).clip(0, 255).astype(np.uint8))
            assert done
            archive.writestr(f"{number:05d}.jpg", data.tobytes())
    packed.seek(0)
    client.albums.create("Trip")
    client.albums.add_zip("Trip", packed)
    client.albums.process("Trip")


def _visit(browser: Browser, url: str) -> tuple[Times, Times]:
    """With an empty cache, then again."""
    across, down = WIDTHS["phone"]
    context = browser.new_context(viewport={"width": across, "height": down}, device_scale_factor=PIXEL_RATIO)
    try:
        return _open(context, url), _open(context, url)
    finally:
        context.close()


def _open(context: BrowserContext, url: str) -> Times:
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    rate = KBIT * 1000 / 8
    line = {"offline": False, "latency": LATENCY_MS, "downloadThroughput": rate, "uploadThroughput": rate}
    session.send("Network.emulateNetworkConditions", line)
    page.goto(url, wait_until="commit")
    found: dict[str, Any] = page.wait_for_function(_LOADED, polling=20, timeout=120_000).json_value()
    page.close()
    return Times(**found)


def _median(times: tuple[Times, ...]) -> Times:
    return Times(*(statistics.median(getattr(one, field.name) for one in times) for field in fields(Times)))


if __name__ == "__main__":
    sys.exit(main())
