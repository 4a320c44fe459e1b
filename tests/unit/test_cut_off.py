"""Files that end too early: read where all of the picture is there, and else refused with the share that is missing."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from PIL import Image

from facewire.protocol.jpeg import still
from facewire.server.errors import InvalidImage
from facewire.server.vision.image import ImageLimits, decode_image, decode_photo
from tests.support.orientations import exif_block
from tests.support.pictures import saved

LIMITS = ImageLimits()
END = b"\xff\xd9"


def photo(width: int = 320, height: int = 240) -> Image.Image:
    """Something of everything, down to the last corner."""
    noise = np.random.default_rng(4).integers(0, 255, (height // 10, width // 10, 3), dtype=np.uint8)
    return Image.fromarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC))


def flat() -> Image.Image:
    """White, as the ground of a document or a drawing; a picture is in the middle."""
    image = Image.new("RGB", (320, 240), "white")
    image.paste(photo(100, 100), (110, 70))
    return image


JPEGS = {
    "baseline": {"quality": 90},
    "fine colours": {"quality": 90, "subsampling": 0},
    "progressive": {"quality": 90, "progressive": True},
    "restarts": {"quality": 90, "restart_marker_rows": 1},
    "optimised": {"quality": 90, "optimize": True},
}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("image", [photo(), flat(), photo().convert("L"), photo().convert("CMYK")])
def test_a_jpeg_that_lacks_only_its_end_is_whole(kind: str, image: Image.Image) -> None:
    data = saved(image, "JPEG", **JPEGS[kind])
    whole = decode_image(data, LIMITS)
    for end in (data[:-2], data[:-1], data[:-2] + b"\xff", data[:-2] + bytes(100)):
        assert np.array_equal(decode_image(end, LIMITS), whole)
    reduced = decode_photo(data[:-2], LIMITS, 100)
    assert (reduced.factor, reduced.width, reduced.height) == (2, 320, 240)


@pytest.mark.parametrize("kind", ["baseline", "fine colours", "restarts", "optimised"])
@pytest.mark.parametrize("end", [b"", END, bytes(100_000)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
def test_a_jpeg_that_is_cut_says_how_much_is_missing(kind: str, end: bytes, mode: str, share: float) -> None:
    """`end`: copied by a program that closes what it writes, so that libjpeg finds nothing wrong; or by one that makes
    the file as long as it will be, and fills it then."""
    data = saved(photo().convert(mode), "JPEG", **JPEGS[kind])
    pixels_at = data.rindex(b"\xff\xda")
    cut = data[: round(len(data) - share * (len(data) - pixels_at))] + end
    for enough in (1000, 100):
        with pytest.raises(InvalidImage, match="is missing") as refused:
            decode_photo(cut, LIMITS, enough)
        assert abs(_percent(refused) - 100 * share) < 8


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_a_progressive_jpeg_that_is_cut_lacks_detail(share: float) -> None:
    data = saved(photo(), "JPEG", quality=90, progressive=True)
    with pytest.raises(InvalidImage, match="finer parts"):
        decode_image(data[: round(len(data) * (1 - share))], LIMITS)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_is_only_a_header_is_no_picture(progressive: bool) -> None:
    """Today libjpeg makes of it a grey picture, without a face."""
    data = saved(photo(), "JPEG", progressive=progressive)
    scan = data.index(b"\xff\xda")
    pixels = scan + 2 + int.from_bytes(data[scan + 2 : scan + 4], "big")
    for cut in (data[:scan], data[:scan] + END, data[:pixels], data[:pixels] + END, data[: pixels + 20] + END):
        with pytest.raises(InvalidImage):
            decode_image(cut, LIMITS)
        with pytest.raises(InvalidImage):
            decode_photo(cut, LIMITS, 100)


def test_grey_is_a_colour_like_any_other() -> None:
    """A picture that ends in the very grey with which libjpeg fills what is missing."""
    image = photo()
    image.paste((128, 128, 128), (0, 120, 320, 240))
    for progressive in (False, True):
        assert decode_image(saved(image, "JPEG", quality=95, progressive=progressive), LIMITS)[-1, -1, 0] == 128


def test_what_is_appended_to_a_jpeg_is_passed_over() -> None:
    """The film of a motion photo."""
    picture = saved(photo(), "JPEG", exif=b"Exif\0\0" + exif_block(1))
    film = b"\0\0\0\x18ftypmp42" + np.random.default_rng(1).bytes(5000)
    assert still(picture + film) == picture
    assert still(picture) == picture
    assert still(film) == film
    assert still(picture[:-2]) == picture[:-2]
    assert np.array_equal(decode_image(picture + film, LIMITS), decode_image(picture, LIMITS))


ENDS = {
    "PNG": (photo(), 12 + 4 + 4, {}),  # the end, and the checksums of the pixels
    "GIF": (photo(), 2, {}),
    "WEBP": (photo(), 9, {"exif": b"Exif\0\0" + exif_block(1)}),
    "BMP": (photo(317), 3, {}),  # what fills up the last row
}


@pytest.mark.parametrize("form", ENDS)
def test_other_formats_that_lack_only_their_end_are_whole(form: str) -> None:
    image, lacking, options = ENDS[form]
    data = saved(image, form, **options)
    whole = decode_image(data, LIMITS)
    for cut in range(1, lacking + 1):
        found = decode_image(data[:-cut], LIMITS)
        assert found.shape == whole.shape
        assert (found != whole).any(axis=(1, 2)).sum() <= 1  # a row


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "HEIF", "JPEG2000", "PPM"])
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_other_formats_say_how_much_is_missing(form: str, share: float) -> None:
    data = saved(photo(), form)
    with pytest.raises(InvalidImage, match="is missing") as refused:
        decode_image(data[: round(len(data) * (1 - share))], LIMITS)
    assert abs(_percent(refused) - 100 * share) < 8


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "HEIF", "JPEG2000", "PPM"])
def test_a_header_without_a_picture_is_refused(form: str) -> None:
    data = saved(photo(), form)
    for length in (30, 60, 100, 200, 400):
        with pytest.raises(InvalidImage):
            decode_image(data[:length], LIMITS)


def _percent(refused: pytest.ExceptionInfo[InvalidImage]) -> int:
    found = re.search(r"about (\d+) %", str(refused.value))
    assert found is not None, str(refused.value)
    return int(found[1])
