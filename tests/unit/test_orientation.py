"""A picture is turned once, whatever its container, and wherever it is looked at."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facewire.server.albums.pictures import look_at, thumbnail
from facewire.server.albums.settings import AlbumLimits
from facewire.server.vision.image import ImageLimits, decode_image, decode_photo, exif_orientation, read_header
from tests.support.decoders import shared_decoder
from tests.support.orientations import (
    HEIGHT,
    WIDTH,
    exif_block,
    looks_upright,
    turned_file,
    upright,
    with_chunk_behind_the_pixels,
)
from tests.support.pictures import saved

LIMITS = ImageLimits()
CONTAINERS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {"quality": 95}),
    "progressive jpeg": ("JPEG", {"quality": 95, "progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"lossless": True}),
    "raw tiff": ("TIFF", {}),
    "packed tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "avif": ("AVIF", {"quality": 95}),
    "heif": ("HEIF", {"quality": 95}),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_container_is_shown_upright(container: str, orientation: int) -> None:
    form, options = CONTAINERS[container]
    data = turned_file(form, orientation, **options)
    header = read_header(data, LIMITS)
    assert (header.width, header.height) == (WIDTH, HEIGHT)
    pixels = decode_image(data, LIMITS)
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert looks_upright(pixels)
    photo = decode_photo(data, LIMITS, 1000)
    assert (photo.width, photo.height) == (WIDTH, HEIGHT)
    assert np.array_equal(photo.pixels, pixels)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("orientation", [2, 6])
def test_albums_show_them_upright_too(container: str, orientation: int) -> None:
    form, options = CONTAINERS[container]
    data = turned_file(form, orientation, **options)
    header = look_at(shared_decoder(), data, AlbumLimits())
    assert (header.width, header.height) == (WIDTH, HEIGHT)
    small, width, height = thumbnail(shared_decoder(), data, AlbumLimits(), WIDTH // 2)
    assert (width, height) == (WIDTH // 2, HEIGHT // 2)
    assert looks_upright(decode_image(small, LIMITS))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("enough", [100, 200, 400])
def test_a_reduced_jpeg_is_the_whole_one_but_smaller(orientation: int, enough: int) -> None:
    width, height = 8 * WIDTH + 5, 8 * HEIGHT + 3  # nothing that 8 divides
    data = turned_file("JPEG", orientation, upright(width, height).resize((width, height)), quality=95)
    photo = decode_photo(data, LIMITS, enough)
    assert photo.factor == {100: 4, 200: 2, 400: 1}[enough]
    assert (photo.width, photo.height) == (width, height)
    shown = tuple(-(-side // photo.factor) for side in (height, width))
    assert photo.pixels.shape[:2] == shown
    assert looks_upright(photo.pixels)


def test_heif_and_avif_follow_their_container_and_not_their_exif() -> None:
    """As every viewer does: cameras write both."""
    for form in ("HEIF", "AVIF"):
        other = struct.pack("<HHLH", 0x0103, 3, 1, 6)  # not an orientation, which Pillow would write into the container
        exif = exif_block(6).replace(struct.pack("<H", 0x0112), struct.pack("<H", 0x0103), 1)
        data = saved(upright(), form, exif=b"Exif\0\0" + exif, quality=95)
        assert data.count(other) == 1
        lying = data.replace(other, struct.pack("<HHLH", 0x0112, 3, 1, 6))
        header = read_header(lying, LIMITS)
        assert (header.width, header.height) == (WIDTH, HEIGHT)
        assert looks_upright(decode_image(lying, LIMITS))


def test_exif_behind_the_pixels_of_a_png_counts() -> None:
    stored = saved(upright().transpose(Image.Transpose.ROTATE_90), "PNG")
    data = with_chunk_behind_the_pixels(stored, b"eXIf", exif_block(6))
    header = read_header(data, LIMITS)
    assert (header.width, header.height) == (WIDTH, HEIGHT)
    assert looks_upright(decode_image(data, LIMITS))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_exif_in_both_byte_orders(order: str, prefix: bytes) -> None:
    assert [exif_orientation(prefix + exif_block(value, order)) for value in range(10)] == [1, *range(1, 9), 1]


def test_damaged_exif_turns_nothing() -> None:
    whole = exif_block(6)
    for length in range(19):
        assert exif_orientation(whole[:length]) == 1
    assert exif_orientation(whole[:4] + b"\xff\xff\xff\xff" + whole[8:]) == 1
    assert exif_orientation(whole[:8] + b"\xff\xff" + whole[10:]) == 6
    assert exif_orientation(b"II*\0\x08\0\0\0\xff\xff" + bytes(12)) == 1


@pytest.mark.parametrize("form", ["HEIF", "AVIF"])
@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("axis", [0, 1])
def test_a_container_may_rotate_and_mirror_in_any_combination(form: str, quarters: int, axis: int) -> None:
    """ISO 23008-12: `irot`, quarter turns against the clock, and then `imir`, top to bottom (0) or left to right."""
    data = bytearray(turned_file(form, 7, quality=95))
    (irot, imir) = (data.index(box) + 4 for box in (b"irot", b"imir"))
    assert (data[irot], data[imir]) == (3, 0)
    stored = np.rot90(np.flip(decode_image(bytes(data), LIMITS), axis=0), -3)
    data[irot], data[imir] = quarters, axis
    expected = np.flip(np.rot90(stored, quarters), axis=axis)
    header = read_header(bytes(data), LIMITS)
    assert (header.height, header.width) == expected.shape[:2]
    assert np.array_equal(decode_image(bytes(data), LIMITS), expected)
