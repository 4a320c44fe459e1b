"""Looking through a long grid of photos as a person does, and what that costs the browser."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page, Request

# Of what is on the screen nothing is on its way any more.
_SETTLED = """() => ![...document.querySelectorAll('.vgrid-chunk')].some((chunk) => {
    const {top, bottom} = chunk.getBoundingClientRect();
    return bottom > 0 && top < innerHeight && (!chunk.firstChild || chunk.querySelector('.skeleton'));
})"""
_TILES = """() => [...document.querySelectorAll('.vgrid .photo-tile')].map(
    (tile) => [Number(tile.closest('[aria-posinset]').getAttribute('aria-posinset')), tile.title])"""
_NODES = "() => document.querySelectorAll('*').length"
_AT_THE_END = "() => scrollY + innerHeight >= document.documentElement.scrollHeight - 2"


@dataclass
class Traffic:
    """Requests of a page that are under way. Hears of them only while Playwright is asked something."""

    now: int = 0
    most: int = 0
    total: int = 0

    def listen(self, page: Page) -> None:
        page.on("request", self._begun)
        page.on("requestfinished", self._ended)
        page.on("requestfailed", self._ended)

    def _begun(self, request: Request) -> None:
        if request.url.startswith("blob:"):
            return
        self.now += 1
        self.total += 1
        self.most = max(self.most, self.now)

    def _ended(self, request: Request) -> None:
        self.now -= not request.url.startswith("blob:")


@dataclass
class Seen:
    """What was in the document on the way. `places`: place in the grid -> name; `doubles`: names at two places."""

    places: dict[int, str] = field(default_factory=dict)
    doubles: set[str] = field(default_factory=set)
    most_tiles: int = 0
    most_nodes: int = 0
    steps: int = 0

    def look(self, page: Page) -> None:
        """Notes what is there now."""
        tiles = [(int(place), str(name)) for place, name in page.evaluate(_TILES)]
        self.doubles |= {name for name, count in Counter(name for _, name in tiles).items() if count > 1}
        self.doubles |= {name for place, name in tiles if self.places.setdefault(place, name) != name}
        self.most_tiles = max(self.most_tiles, len(tiles))
        self.most_nodes = max(self.most_nodes, page.evaluate(_NODES))
        self.steps += 1


def scroll_through(page: Page, *, share: float = 0.9) -> Seen:
    """From the top to the end, `share` of a screen at a time, waiting for everything on the screen."""
    seen = Seen()
    page.evaluate("() => scrollTo(0, 0)")
    while True:
        page.wait_for_function(_SETTLED)
        seen.look(page)
        if page.evaluate(_AT_THE_END):
            return seen
        page.evaluate("share => scrollBy(0, innerHeight * share)", share)


def heap_mb(page: Page) -> float:
    """What the page's scripts and elements hold after a garbage collection, in MB of JavaScript heap."""
    session = page.context.new_cdp_session(page)
    try:
        session.send("Performance.enable")
        session.send("HeapProfiler.collectGarbage")
        metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        return float(metrics["JSHeapUsedSize"]) / 1e6
    finally:
        session.detach()
