"""Ten thousand photos in a real browser, from the first to the last, at both widths: what it holds, asks for and draws.

    python -m tests.browser.ten_thousand [--photos 10000]

Prints one line a width, and fails (exit code 1) where a photo is missing or shown twice, or where the number of
elements or the heap grows with the number of photos. Then a table of the time between frames while somebody scrolls
through all of it, by wheel and by the scroll bar. Takes some minutes: many of them add the photos.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from facewire.client import FaceClient
from tests.browser.conftest import FLAGS, WIDTHS
from tests.browser.frames import HEADINGS, Frames, by_scroll_bar, by_wheel, measured
from tests.browser.scrolling import Traffic, heap_mb, scroll_through
from tests.browser.test_many import MOST_NODES, MOST_REQUESTS, MOST_TILES, fill
from tests.support.web_server import Page as Web
from tests.support.web_server import facewire_server, web_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MOST_GROWTH_MB = 12.0  # of the heap from the first photo to the last: 3,000 remembered entries are 2 MB
DRAG_S = 15.0  # from the top to the bottom by the scroll bar: seven hundred photos a second


@dataclass(frozen=True, slots=True)
class Report:
    width: str
    seen: int
    doubled: int
    steps: int
    tiles: int
    nodes: int
    requests: int
    at_once: int
    heap_first: float
    heap_last: float
    end_by_key: bool
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.width}: {self.seen} photos seen in {self.steps} screens, {self.doubled} doubled; "
            f"at most {self.tiles} tiles and {self.nodes} elements in the document; "
            f"{self.requests} requests, at most {self.at_once} at once; "
            f"heap {self.heap_first:.1f} MB at the first photo, {self.heap_last:.1f} MB at the last; "
            f"End key reaches the last: {'yes' if self.end_by_key else 'NO'} ({self.seconds:.0f} s)"
        )

    def holds(self, photos: int) -> bool:
        return (
            (self.seen, self.doubled, self.end_by_key) == (photos, 0, True)
            and self.tiles <= MOST_TILES[self.width]
            and self.nodes <= MOST_NODES + photos // 16  # and an empty element for each chunk
            and self.at_once <= MOST_REQUESTS
            and self.heap_last - self.heap_first <= MOST_GROWTH_MB
        )


def main() -> int:
    """Gives the exit code."""
    parser = argparse.ArgumentParser("ten_thousand.py", description=__doc__)
    parser.add_argument("--photos", type=int, default=10_000, help="(default: %(default)s)")
    parser.add_argument("--pace", type=float, default=4, help="screens a second by wheel (default: %(default)g)")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "chromium", help="(default: %(default)s)")
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as room, facewire_server(Path(room)) as address:
        begun = time.monotonic()
        with FaceClient(*address, timeout=3600) as client:
            fill(client, "Many", args.photos)
        print(f"{args.photos} photos added in {time.monotonic() - begun:.0f} s", flush=True)
        reports = []
        with web_page(address) as web, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=args.chromium, headless=True, args=list(FLAGS))
            for width in WIDTHS:
                reports.append(measure(browser, web, width, args.photos))
                print(reports[-1], flush=True)
            browser.close()
            print(f"\nframes, {os.cpu_count()} cores, Chromium {browser.version} without a GPU\n{HEADINGS}", flush=True)
            # Playwright hides scroll bars, and then nobody can draw one
            browser = playwright.chromium.launch(
                executable_path=args.chromium,
                headless=True,
                args=list(FLAGS),
                ignore_default_args=["--hide-scrollbars"],
            )
            for width in WIDTHS:
                for frames in smoothness(browser, web, width, args.pace):
                    print(frames, flush=True)
            browser.close()
    return 0 if all(report.holds(args.photos) for report in reports) else 1


def measure(browser: Browser, web: Web, width: str, photos: int) -> Report:
    """One run from top to end, in a new profile."""
    across, down = WIDTHS[width]
    context = browser.new_context(viewport={"width": across, "height": down}, reduced_motion="reduce")
    context.set_default_timeout(120_000)
    page = context.new_page()
    traffic = Traffic()
    traffic.listen(page)
    begun = time.monotonic()
    page.goto(f"{web.url}/album?album=Many#/photos")
    page.locator(".photo-tile img").first.wait_for()
    first = heap_mb(page)
    seen = scroll_through(page)
    last = heap_mb(page)
    taken = time.monotonic() - begun
    by_key = end_by_key(page, f"{photos - 1:05d}.jpg")
    context.close()
    right = sum(name == f"{place - 1:05d}.jpg" for place, name in seen.places.items())
    return Report(
        width, right, len(seen.doubles), seen.steps, seen.most_tiles, seen.most_nodes, traffic.total, traffic.most,
        first, last, by_key, taken,
    )  # fmt: skip


def smoothness(browser: Browser, web: Web, width: str, pace: float) -> Iterator[Frames]:
    """How evenly it scrolls, in a new profile each time, so that nothing is in the browser's cache."""
    across, down = WIDTHS[width]
    for how in ("wheel", "scroll bar"):
        context = browser.new_context(viewport={"width": across, "height": down})
        page = context.new_page()
        page.goto(f"{web.url}/album?album=Many#/photos")
        if how == "wheel":
            yield measured(page, f"{width}, {how}", partial(by_wheel, page, screens_a_second=pace))
        else:
            yield measured(page, f"{width}, {how}", partial(by_scroll_bar, page, seconds=DRAG_S))
        context.close()


def end_by_key(page: Page, last: str) -> bool:
    """From the first photo, does the End key focus the last?"""
    page.evaluate("() => scrollTo(0, 0)")
    page.locator(".photo-tile").first.focus()
    page.keyboard.press("End")
    page.wait_for_function("name => document.activeElement.title === name", arg=last)
    return True


if __name__ == "__main__":
    sys.exit(main())
