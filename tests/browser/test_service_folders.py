"""What systems leave beside pictures is not sent by the page either, and it says how much that was."""

from __future__ import annotations

from pathlib import Path

from tests.browser.conftest import Visiting
from tests.support.synthetic_engine import portrait
from tests.support.web_server import Page


def test_a_folder_comes_without_what_a_nas_and_windows_put_into_it(
    web: Page, visiting: Visiting, tmp_path: Path
) -> None:
    folder = tmp_path / "trip"
    service = (
        "@eaDir/a.png/thumb.png",
        "@eaDir/b.png/thumb.png",
        "day/$RECYCLE.BIN/old.png",
        "day/._b.png",
        "Thumbs.db",
    )
    for number, name in enumerate(("a.png", "day/b.png", *service)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(portrait(number))
    assert web.visitor().op("album.create", album="Trip")[0] == 200
    visit = visiting(web)
    visit.go("/album?album=Trip")
    visit.says("This album is empty")
    with visit.page.expect_file_chooser() as chooser:
        visit.named("button", "Add a folder").first.click()
    chooser.value.set_files(folder)
    visit.says("4 service files and folders left out.")
    visit.page.locator("#count", has_text="2 photos").wait_for()
