"""A face drawn by hand in a photo: with the mouse, with the keyboard, on a phone."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import Visiting
from tests.browser.furnished import ADA, BO, furnish
from tests.browser.visit import Visit
from tests.support.synthetic_engine import draw, portrait
from tests.support.web_server import Page, facewire_server, web_page

SIZE = (400, 300)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with facewire_server(tmp_path_factory.mktemp("drawn")) as address:
        furnish(address, {"ada.png": portrait(ADA), "sea.png": draw(size=SIZE)})
        with web_page(address) as web:
            yield web


def opened(visit: Visit) -> None:
    visit.go("/album?album=Trip#/photos")
    visit.named("button", "sea.png").click()
    visit.page.locator(".lightbox-bar", has_text="sea.png").wait_for()
    visit.named("button", "Draw a face that was missed").click()


def faces(visit: Visit) -> list[tuple[str, list[int]]]:
    """Who was drawn in the photo, and where in it."""
    return [
        (box.inner_text(), [round(float(part) * side / 100) for part, side in zip(parts, SIZE * 2, strict=True)])
        for box in visit.page.locator(".lightbox-picture .box").all()
        for parts in [box.evaluate("({style}) => [style.left, style.top, style.width, style.height].map(parseFloat)")]
    ]


def test_a_face_is_drawn_moved_undone_and_removed(page: Page, visiting: Visiting, axe: str) -> None:
    visit = visiting(page)
    opened(visit)
    shown = visit.page.locator(".lightbox-picture").bounding_box()
    assert shown is not None
    scale = shown["width"] / SIZE[0]
    mouse = visit.page.mouse
    mouse.move(shown["x"] + 40 * scale, shown["y"] + 30 * scale)
    mouse.down()
    mouse.move(shown["x"] + 100 * scale, shown["y"] + 130 * scale, steps=3)
    mouse.up()
    assert visit.barriers(axe) == []
    visit.page.keyboard.type("Cleo 0b")  # keys of the lightbox are letters here
    visit.page.keyboard.press("Enter")
    visit.says("Drew Cleo 0b in sea.png.")
    assert faces(visit) == [("Cleo 0b", [40, 30, 60, 100])]

    visit.page.locator(".box[data-drawn]").focus()  # the keyboard alone
    visit.page.keyboard.press("Enter")
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowRight", "Enter", "Enter"):
        visit.page.keyboard.press(key)
    visit.says("Moved the box of Cleo 0b in sea.png.")
    assert faces(visit) == [("Cleo 0b", [43, 33, 63, 100])]
    visit.named("button", "Undo", exact=True).last.click()
    visit.says("Undone: moved the box of Cleo 0b in sea.png.")
    assert faces(visit) == [("Cleo 0b", [40, 30, 60, 100])]

    visit.page.keyboard.press("Escape")  # leaves the drawing, not the photo
    visit.page.locator(".drawing").wait_for(state="hidden")
    visit.page.keyboard.press("Escape")
    visit.page.locator(".lightbox").wait_for(state="detached")
    visit.says("2 faces of 2 people, 1 named")

    phone = visiting(page, "phone")
    opened(phone)
    phone.page.locator(".box[data-drawn]").click()
    for control in phone.page.locator(".lightbox-bar button, .drawing button:visible").all():
        box = control.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 375 and box["y"] + box["height"] <= 812
    phone.named("button", "Remove", exact=True).click()
    phone.says("Removed the box of Cleo 0b from sea.png.")
    assert faces(phone) == []


def test_names_come_with_the_photos_where_the_tick_is_set(
    page: Page, visiting: Visiting, axe: str, tmp_path: Path
) -> None:
    face = (BO, (100.0, 60.0, 80.0, 80.0))
    (tmp_path / "in.jpg").write_bytes(with_segment(draw(face, size=SIZE, extension=".jpg"), named("Bo")))
    (tmp_path / "beside.png").write_bytes(draw(face, size=SIZE, shade=1))
    (tmp_path / "beside.xmp").write_bytes(named("Bo"))
    visit = visiting(page)
    visit.go("/album?album=Trip")
    visit.page.get_by_text("Names in metadata").click()
    visit.page.get_by_label("Take names from photos that are added").check()
    visit.page.get_by_label("Write names into JPEGs that are downloaded").check()
    visit.page.set_input_files("#choose-files", sorted(tmp_path.iterdir()))
    visit.page.locator(".tile", has_text="Bo").wait_for()
    visit.says("4 photos")
    assert visit.barriers(axe) == []
    with visit.page.expect_download() as download:
        visit.named("button", "Download the album as a ZIP").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert b"PersonInImage" in archive.read("in.jpg") and "in.jpg.xmp" not in archive.namelist()
        assert "beside.png.xmp" in archive.namelist()
    visit.go("/album?album=Trip#/photos")
    for name in ("in.jpg", "beside.png"):
        visit.named("button", name).click()
        visit.page.locator(".lightbox-picture .box", has_text="Bo").wait_for()
        visit.page.keyboard.press("Escape")
        visit.page.locator(".lightbox").wait_for(state="detached")


def named(name: str) -> bytes:
    """XMP as Lightroom writes it, of the face in these photos."""
    area = 'stArea:x="0.35" stArea:y="0.333" stArea:w="0.25" stArea:h="0.33" stArea:unit="normalized"'
    return f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
 xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"><mwg-rs:Regions rdf:parseType="Resource">
<mwg-rs:RegionList><rdf:Bag>
<rdf:li><rdf:Description mwg-rs:Name="{name}" mwg-rs:Type="Face"><mwg-rs:Area {area}/></rdf:Description></rdf:li>
</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions></rdf:Description></rdf:RDF></x:xmpmeta>""".encode()


def with_segment(jpeg: bytes, packet: bytes) -> bytes:
    body = b"http://ns.adobe.com/xap/1.0/\0" + packet
    return jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]
