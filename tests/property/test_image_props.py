"""Damaged pictures of every format: a picture or InvalidImage, never anything else, and in bounded time and memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facewire.server.errors import InvalidImage
from facewire.server.vision.image import ImageLimits, Pixels, decode_image, decode_photo
from tests.support.orientations import exif_block
from tests.support.pictures import saved

LIMITS = ImageLimits(max_pixels=1_000_000)
_EXIF = {"exif": b"Exif\0\0" + exif_block(6)}
_IMAGE = Image.fromarray(np.random.default_rng(7).integers(0, 255, (24, 20, 3), dtype=np.uint8))
FILES = {
    "jpeg": saved(_IMAGE, "JPEG", **_EXIF),
    "progressive": saved(_IMAGE, "JPEG", progressive=True),
    "png": saved(_IMAGE, "PNG", **_EXIF),
    "palette png": saved(_IMAGE.convert("P"), "PNG", transparency=3),
    "gif": saved(_IMAGE, "GIF"),
    "bmp": saved(_IMAGE, "BMP"),
    "palette bmp": saved(_IMAGE.convert("P"), "BMP"),
    "tiff": saved(_IMAGE, "TIFF"),
    "packed tiff": saved(_IMAGE, "TIFF", compression="tiff_lzw"),
    "webp": saved(_IMAGE, "WEBP", **_EXIF),
    "avif": saved(_IMAGE, "AVIF", **_EXIF),
    "heif": saved(_IMAGE, "HEIF", **_EXIF),
    "jpeg 2000": saved(_IMAGE, "JPEG2000"),
    "ppm": saved(_IMAGE, "PPM"),
    "deep pgm": saved(Image.fromarray(np.arange(480, dtype=np.uint16).reshape(20, 24) * 100), "PPM"),
}
HEADER = 400  # bytes in which damage is likely to change what is read, and not only how it looks


def asked(data: bytes) -> None:
    """A right answer, or the right refusal; the scaled door as the other."""
    decoders: tuple[Callable[[], Pixels], ...] = (
        lambda: decode_image(data, LIMITS),
        lambda: decode_photo(data, LIMITS, 10).pixels,
    )
    for decode in decoders:
        try:
            pixels = decode()
        except InvalidImage as error:
            assert str(error)
        else:
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 3
            assert pixels.shape[2] == 3


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged TIFFs
@pytest.mark.parametrize("name", FILES)
def test_cut_at_every_byte_of_its_header(name: str) -> None:
    for length in range(HEADER):
        asked(FILES[name][:length])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", FILES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_bytes_of_its_header_changed(name: str, data: st.DataObject) -> None:
    damaged = bytearray(FILES[name])
    places = st.integers(0, min(HEADER, len(damaged)) - 1)
    values = st.sampled_from([0, 1, 127, 128, 255]) | st.integers(0, 255)
    for place, value in data.draw(st.lists(st.tuples(places, values), min_size=1, max_size=4)):
        damaged[place] = value
    asked(bytes(damaged))


@pytest.mark.parametrize("kind", [b"VP8X", b"VP8L", b"VP8 "])
def test_a_webp_that_claims_much_costs_nothing(kind: bytes) -> None:
    """Pillow's reader takes memory for what is claimed before it can be asked how large that is."""
    heads = {
        b"VP8X": bytes(4) + b"\xff\x3f\0\xff\x3f\0",
        b"VP8L": b"\x2f\xff\xff\xff\x0f",
        b"VP8 ": b"\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f",
    }
    body = b"WEBP" + kind + len(heads[kind]).to_bytes(4, "little") + heads[kind]
    tracemalloc.start()
    try:
        with pytest.raises(InvalidImage, match=r"16384x16384|16383x16383"):
            decode_image(b"RIFF" + len(body).to_bytes(4, "little") + body, LIMITS)
        # And one whose metadata claims to be 4 GiB long.
        whole = FILES["webp"]
        with pytest.raises(InvalidImage):
            decode_image(whole[:4] + b"\xff\xff\xff\xff" + whole[8:] + b"XMP \xf0\xff\xff\xff", LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
