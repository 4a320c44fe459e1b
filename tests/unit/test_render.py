"""Drawing: labels that cv2 can write, boxes where the picture is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.client.drawings import Drawings
from facewire.client.lettering import typeset
from facewire.client.render import CannotDraw, draw, in_ascii, label, unwritten
from facewire.protocol.messages import Identify
from tests.support.fake_service import identified
from tests.support.orientations import looks_upright, turned_file

ANSWER = identified(Identify(b"a"))
FACE = replace(ANSWER.faces[0], box=(20.0, 60.0, 30.0, 40.0))
# An EXIF block that says "turn by 90 degrees clockwise" (orientation 6), to stand after a JPEG's first two bytes.
TURNED = bytes.fromhex("ffe1002245786966000049492a00080000000100120103000100000006000000000000000000")[: 2 + 0x22]


@pytest.mark.parametrize(
    ("name", "ascii_name"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("Björk Guðmundsdóttir", "Bjork Gudmundsdottir"),
        ("Łukasz Groß", "Lukasz Gross"),
        ("Æthelred", "Aethelred"),
        ("Nguyễn Văn", "Nguyen Van"),
        ("李雷", ""),
        ("Анна", ""),
        ("👩\u200d🚀 Ada", "Ada"),
        ("👩\u200d🚀", ""),
        ("two\nlines", ""),
    ],
)
def test_names_in_ascii(name: str, ascii_name: str) -> None:
    assert in_ascii(name) == ascii_name


def test_an_emotion_that_is_not_certain_is_shown_with_a_question_mark() -> None:
    assert FACE.emotion is not None
    assert label(1, replace(FACE, emotion=replace(FACE.emotion, certain=False))).endswith("?")
    assert not label(1, replace(FACE, emotion=replace(FACE.emotion, certain=True))).endswith("?")


def test_a_label_is_not_much_wider_than_its_face() -> None:
    """Side by side, two people's labels don't cover each other's faces."""
    blank = cv2.imencode(".png", np.zeros((400, 1000, 3), np.uint8))[1].tobytes()
    narrow = replace(FACE, name="Somebody Longname", box=(400.0, 100.0, 90.0, 120.0))
    drawn = pixels_of(draw(blank, replace(ANSWER, faces=(narrow,))))
    columns = np.flatnonzero((drawn.max(axis=2) > 60).any(axis=0))
    assert columns.max() - columns.min() <= 2 * 90


def test_a_name_without_ascii_is_the_number_of_the_printed_face() -> None:
    assert label(3, replace(FACE, name="李雷")) == "face 3, happy"
    assert label(1, replace(FACE, name=None, decision="unknown", emotion=None)) == "unknown"


def grey_jpeg(width: int, height: int) -> bytes:
    done, data = cv2.imencode(".jpg", np.full((height, width, 3), 128, np.uint8))
    assert done
    return data.tobytes()


def pixels_of(data: bytes) -> NDArray[np.uint8]:
    """BGR."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def decoded(data: bytes) -> np.ndarray:
    return pixels_of(data).astype(int)


def test_the_box_is_where_the_face_is() -> None:
    picture = decoded(draw(grey_jpeg(120, 160), replace(ANSWER, faces=(FACE,))))
    assert picture.shape == (160, 120, 3)
    green = picture[:, :, 1] - picture[:, :, 2] > 40
    assert green[95:105, 20:50].any()  # the lower edge
    assert not green[70:90, 25:45].any()  # the face itself
    assert not green[110:, :].any()


def test_a_picture_turned_by_exif_is_drawn_as_shown() -> None:
    upright = grey_jpeg(160, 120)
    turned = upright[:2] + TURNED + upright[2:]
    assert decoded(draw(turned, replace(ANSWER, faces=(FACE,)))).shape == (160, 120, 3)


def test_faces_at_and_beyond_the_edges_are_drawn() -> None:
    boxes = [(-20.0, -20.0, 40.0, 40.0), (100.0, 140.0, 90.0, 90.0), (0.0, 0.0, 120.0, 160.0)]
    faces = tuple(replace(FACE, box=box, name="A very long name that does not fit") for box in boxes)
    assert draw(grey_jpeg(120, 160), replace(ANSWER, faces=faces))


@pytest.mark.parametrize("broken", [b"", b"no picture", grey_jpeg(10, 10)[:100]])
def test_what_is_no_picture_can_not_be_drawn(broken: bytes) -> None:
    with pytest.raises(CannotDraw):
        draw(broken, ANSWER)


FONTS = [name for name in ("Анна", "Žofia Łódź") if typeset(name, ", happy") is not None]


@pytest.mark.skipif(not FONTS, reason="no font of this machine has Cyrillic letters")
@pytest.mark.parametrize("name", FONTS)
def test_names_are_written_as_they_are_where_a_font_has_the_letters(name: str) -> None:
    """Two names of one length differ on the picture, and neither is a row of empty boxes."""
    blank = cv2.imencode(".png", np.zeros((200, 600, 3), np.uint8))[1].tobytes()
    one = replace(ANSWER, faces=(replace(FACE, name=name, box=(100.0, 80.0, 200.0, 100.0)),))
    other = replace(ANSWER, faces=(replace(FACE, name=name[::-1], box=(100.0, 80.0, 200.0, 100.0)),))
    assert draw(blank, one) != draw(blank, other)
    assert unwritten(one) == []
    drawn = pixels_of(draw(blank, one))
    assert (drawn.min(axis=2) > 200).sum() > 50  # white letters


def test_a_name_that_no_font_has_is_numbered_and_told(tmp_path: Path) -> None:
    name = "\U000f0000\U000f0001"  # of private use: no font has these
    answer = replace(ANSWER, faces=(FACE, replace(FACE, name=name)))
    assert unwritten(answer) == [(2, name)]
    assert Drawings(tmp_path).add(Path("a.jpg"), grey_jpeg(200, 200), answer) is None
    assert (tmp_path / "a.jpg.names.txt").read_text(encoding="utf-8") == f"face 2: {name}\n"


def test_letters_that_reach_beyond_the_picture_are_cut_off() -> None:
    for box in ((-30.0, -30.0, 40.0, 40.0), (180.0, 180.0, 60.0, 60.0), (0.0, 0.0, 200.0, 200.0)):
        answer = replace(ANSWER, faces=(replace(FACE, name="Žofia Łódźovská-Čapková", box=box),))
        assert draw(grey_jpeg(200, 200), answer)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_every_container_is_drawn_as_shown(form: str, orientation: int) -> None:
    drawn = draw(turned_file(form, orientation, quality=95), replace(ANSWER, faces=()))
    assert looks_upright(pixels_of(drawn)[..., ::-1])


def test_a_jpeg_without_its_end_is_drawn() -> None:
    jpeg = cv2.imencode(".jpg", np.full((40, 60, 3), 90, np.uint8))[1].tobytes()
    assert draw(jpeg[:-2], replace(ANSWER, faces=()))
