"""Every control of every view lies on the screen and can be hit: on small phones, on a desk, and at 200 % zoom."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.conftest import Visiting
from tests.browser.furnished import ADA, BO, furnish
from tests.browser.test_states import VIEWS, open_view
from tests.browser.visit import Visit
from tests.support.synthetic_engine import draw, portrait
from tests.support.waiting import eventually
from tests.support.web_server import Page, facewire_server, web_page

SCREENS = {"1440": (1440, 900), "360": (360, 780), "375": (375, 812), "430": (430, 932), "200 %": (720, 450)}
BOTH = draw((ADA, (100.0, 200.0, 500.0, 600.0)), (BO, (900.0, 200.0, 500.0, 600.0)), size=(1600, 1200))
_SETTLED_S = 10.0
_LAID_OUT = """(width) => [document.body, ...document.querySelectorAll("dialog.lightbox")]
  .every((one) => one.getBoundingClientRect().width === width)"""
LONG = "IMG_20260704_181530_HDR_panorama_of_the_whole_family_by_the_lake_before_dinner"

# Controls that can't be reached: what sticks out to the side, or that something else covers where its middle is.
_OUT_OF_REACH = """() => {
  const room = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document;
  const bad = [];
  for (const one of room.querySelectorAll("a[href], button, input, select, textarea, summary")) {
    if (!one.checkVisibility({ visibilityProperty: true }) || one.closest("[inert]") || one.matches(".skip")) continue;
    one.scrollIntoView({ block: "center", inline: "nearest", behavior: "instant" });
    const box = one.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) continue;
    const name = one.getAttribute("aria-label") || one.textContent.trim() || one.outerHTML.slice(0, 80);
    if (box.left < -1 || box.right > innerWidth + 1) {
      bad.push(`"${name}" reaches from ${Math.round(box.left)} to ${Math.round(box.right)} px`);
      continue;
    }
    const hit = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    const label = one.labels && [...one.labels].some((each) => each.contains(hit));
    if (!hit) bad.push(`"${name}" lies above or below the screen`);
    else if (!one.contains(hit) && !hit.contains(one) && !label) bad.push(`"${name}" is under ${hit.outerHTML}`);
  }
  return bad;
}"""


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Somebody enrolled, and an album whose photos have long names."""
    with facewire_server(tmp_path_factory.mktemp("reach")) as address:
        furnish(address, {f"{LONG}_1.png": portrait(ADA), f"{LONG}_2.png": BOTH, "view.png": draw()})
        with web_page(address) as web:
            yield web


def out_of_reach(visit: Visit) -> list[str]:
    """A line for every control, on every screen, once the page has settled there."""
    found = []
    for screen, (width, height) in SCREENS.items():
        visit.page.set_viewport_size({"width": width, "height": height})
        visit.page.wait_for_function(_LAID_OUT, arg=width)
        if not eventually(lambda: not visit.page.evaluate(_OUT_OF_REACH), _SETTLED_S):
            found += [f"{screen}: {line}" for line in visit.page.evaluate(_OUT_OF_REACH)]
    return found


@pytest.mark.parametrize("name", list(VIEWS))
def test_every_control_of_a_view(full: Page, visiting: Visiting, name: str) -> None:
    visit = visiting(full, "phone")
    open_view(visit, VIEWS[name])
    visit.page.locator(VIEWS[name].full).first.wait_for()
    assert out_of_reach(visit) == []


def test_the_photo(full: Page, visiting: Visiting) -> None:
    """Its column once grew with its name, and close, next and save lay beside the screen."""
    visit = visiting(full, "phone")
    open_view(visit, VIEWS["its photos"])
    visit.page.locator(".photo-tile").nth(1).click()  # the large one
    visit.page.locator(".lightbox .box").first.wait_for()
    assert out_of_reach(visit) == []
    visit.page.wait_for_function(_FITS)


_FITS = """() => document.querySelector(".lightbox-picture").getBoundingClientRect().width
  <= document.querySelector(".lightbox-view").getBoundingClientRect().width"""
