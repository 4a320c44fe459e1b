"""The whole story with no pointer at all: from an empty server to a downloaded ZIP, by keys alone."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.browser.conftest import Visiting
from tests.browser.visit import Visit
from tests.support.synthetic_engine import draw, portrait
from tests.support.web_server import Page

ADA, BO, CLEO = 7, 30, 52
BOTH = draw((ADA, (4.0, 8.0, 22.0, 24.0)), (BO, (36.0, 8.0, 22.0, 24.0)))

_REACHED = """() => {
    const one = document.activeElement;
    const label = one.labels?.[0]?.textContent;
    return (one.getAttribute('aria-label') ?? (one.tagName === 'INPUT' && label ? label : one.textContent)).trim();
}"""


class Keys:
    """A person with a keyboard. `to` walks with Tab, and fails where Tab does not lead."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.page = visit.page
        # A listener from the start: else a key may be quicker than Playwright's word that it wants to choose
        self.page.on("filechooser", lambda _: None)

    def focused(self) -> str:
        return str(self.page.evaluate(_REACHED))

    def to(self, name: str, *, back: bool = False) -> None:
        passed = []
        for _ in range(80):
            self.page.keyboard.press("Shift+Tab" if back else "Tab")
            passed.append(self.focused())
            if passed[-1].startswith(name):
                return
        pytest.fail(f"Tab never reaches '{name}', only {passed}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.press("Control+A")
        self.page.keyboard.type(text)

    def choose(self, files: Path | list[Path], *, key: str = "Enter") -> None:
        """Opens the file chooser of what has the focus, and chooses."""
        with self.page.expect_file_chooser() as chooser:
            self.press(key)
        chooser.value.set_files(files)

    def dialog(self) -> None:
        """Waits until a dialog is open, and the focus in it."""
        self.page.wait_for_function("() => document.querySelector('dialog[open]')?.contains(document.activeElement)")

    def back_on(self, name: str) -> None:
        """Waits until the focus is on what is called so, and no dialog is open."""
        self.page.locator("dialog").wait_for(state="detached")
        assert self.focused().startswith(name)


@pytest.fixture
def album_folder(tmp_path: Path) -> Path:
    root = tmp_path / "Holiday"
    root.mkdir()
    for name, data in {
        "1 ada.png": portrait(ADA), "2 both.png": BOTH, "3 bo.png": portrait(BO), "4 cleo.png": portrait(CLEO),
    }.items():  # fmt: skip
        (root / name).write_bytes(data)
    return root


def test_from_an_empty_server_to_a_zip(web: Page, visiting: Visiting, album_folder: Path, tmp_path: Path) -> None:
    visit = visiting(web)
    keys = Keys(visit)
    somebody_is_enrolled(keys, tmp_path)
    the_gallery_is_put_right(keys, tmp_path)
    an_album_is_filled(keys, album_folder)
    its_people_are_merged(keys)
    its_photos_are_looked_at(keys)
    somebody_is_found(keys, tmp_path)
    with visit.page.expect_download() as caught:
        keys.to("Download the album as a ZIP", back=True)
        keys.press("Enter")
    with zipfile.ZipFile(caught.value.path()) as archive:
        got = {archive.read(name) for name in archive.namelist()}
    assert {path.read_bytes() for path in album_folder.iterdir()} <= got


def somebody_is_enrolled(keys: Keys, room: Path) -> None:
    visit, page = keys.visit, keys.page
    (room / "both.png").write_bytes(BOTH)
    visit.go("/")
    visit.says("Faces appear here")
    keys.press("Tab")
    assert keys.focused() == "Skip to the content"
    keys.press("Enter")
    keys.to("Choose pictures")
    keys.choose(room / "both.png")
    visit.shows(".face strong", ["Nobody known", "Nobody known"])
    for name in ("Ada", "Bo"):
        page.locator(".face-top").nth(0 if name == "Ada" else 1).wait_for()
        keys.to("Enrol this face as")
        keys.type(name)
        keys.press("Enter")
        page.locator(".face strong", has_text=name).wait_for()
        if name == "Ada":
            keys.to("Nobody known", back=False)
            keys.press("Enter")
    visit.shows(".face .badge", ["match", "match"])


def the_gallery_is_put_right(keys: Keys, room: Path) -> None:
    visit, page = keys.visit, keys.page
    keys.to("People", back=True)
    keys.press("Enter")
    visit.shows(".tile strong", ["Ada", "Bo"])
    # a dialog that is closed gives the focus back
    keys.to("Enrol somebody")
    keys.press("Enter")
    keys.dialog()
    keys.press("Escape")
    keys.back_on("Enrol somebody")
    (room / "nobody.png").write_bytes(draw())
    keys.press("Enter")
    keys.dialog()
    keys.type("Dora")
    keys.to("Pictures")
    keys.choose(room / "nobody.png")
    visit.refusals |= {422}
    keys.to("Enrol")
    keys.press("Enter")
    visit.says("1 of 1 picture not enrolled")
    visit.says("no face was found")
    keys.press("Enter")
    page.locator("dialog").wait_for(state="detached")
    # what dropping one on another does
    keys.to("Bo")
    keys.press("Enter")
    visit.says("1 face · enrolled")
    keys.to("Merge into …")
    keys.press("Enter")
    keys.dialog()
    keys.type("Ada")
    keys.press("Enter")
    page.locator("h1", has_text="Ada").wait_for()
    visit.says("2 faces")
    keys.to("Undo")
    keys.press("Enter")
    visit.says("Undone: ")


def an_album_is_filled(keys: Keys, folder: Path) -> None:
    visit, page = keys.visit, keys.page
    keys.to("Albums", back=True)
    keys.press("Enter")
    visit.says("No album yet")
    keys.to("Name of a new album")
    keys.type("Holiday")
    keys.press("Enter")
    visit.says("This album is empty")
    keys.to("Add photos")
    keys.choose(sorted(folder.iterdir()))
    visit.says("3 people")
    page.locator("#view .tile").nth(2).wait_for()


def its_people_are_merged(keys: Keys) -> None:
    """Two people of whom nobody has a name yet: chosen by their faces."""
    visit, page = keys.visit, keys.page
    keys.to("Not named yet")
    keys.press("Enter")
    visit.says("2 faces in 2 photos")
    keys.to("Merge with …")
    keys.press("Enter")
    keys.dialog()
    keys.press("Escape")
    keys.back_on("Merge with …")
    keys.press("Enter")
    keys.dialog()
    keys.press("Space", "ArrowRight", "Enter")  # the second of them
    visit.says("3 faces in 3 photos")
    keys.to("Undo", back=True)
    keys.press("Enter")
    visit.says("Undone: ")
    # there is nothing left to undo, so that button can't keep the focus
    page.wait_for_function("() => document.activeElement.id === 'view'")
    keys.to("People", back=True)
    keys.press("Enter")
    page.locator("#view .tile").nth(2).wait_for()


def its_photos_are_looked_at(keys: Keys) -> None:
    visit, page = keys.visit, keys.page
    page.wait_for_function("() => document.querySelector('#tab-people[aria-selected=true]')")
    if not keys.focused().startswith("People"):
        keys.to("People", back=True)
    keys.press("ArrowRight", "ArrowRight")
    page.locator(".photo-tile").nth(3).wait_for()
    keys.to("1 ada.png")
    keys.press("ArrowRight")
    assert keys.focused().startswith("2 both.png")
    keys.press("Enter")
    page.locator(".lightbox .box").nth(1).wait_for()
    keys.press("+", "b", "ArrowRight")
    visit.says("3 of 4 photos")
    keys.press("End")
    visit.says("4 of 4 photos")
    keys.press("ArrowRight", "Home")  # past the end nothing happens, and keys are heard still
    visit.says("1 of 4 photos")
    keys.press("b")
    page.locator(".lightbox .box").first.wait_for()
    keys.press("Escape")
    keys.back_on("2 both.png")
    keys.press("Enter")
    page.locator(".lightbox .box").nth(1).wait_for()
    keys.to("Somebody without a name")
    keys.press("Enter")  # their page
    page.locator("dialog").wait_for(state="detached")
    page.locator(".person-head form").wait_for()


def somebody_is_found(keys: Keys, room: Path) -> None:
    visit, page = keys.visit, keys.page
    (room / "selfie.png").write_bytes(draw((CLEO, (2.0, 6.0, 28.0, 30.0)), (ADA, (36.0, 8.0, 22.0, 24.0))))
    keys.to("People", back=True)
    keys.press("ArrowRight", "ArrowRight", "ArrowRight")
    visit.says("Who are you looking for?")
    keys.to("Pictures of somebody to find")
    keys.choose(room / "selfie.png")
    visit.says("3 photos")
    keys.to("Included; click to leave this face out", back=True)
    keys.press("Enter")
    visit.says("1 of 2 faces included")
    assert keys.focused().startswith("Left out; look for this face")  # where it was
    page.locator(".vgrid .photo-tile").first.wait_for()
