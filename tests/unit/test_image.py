"""Decoding: what is a picture, what is none, and what costs nothing to refuse."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from facewire.server.errors import InvalidImage
from facewire.server.vision.image import ImageLimits, decode_image

LIMITS = ImageLimits()


def picture(height: int = 40, width: int = 60) -> np.ndarray:
    """Red on the left, blue on the right (RGB)."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = 255
    image[:, width // 2 :, 2] = 255
    return image


def encoded(suffix: str, image: np.ndarray | None = None) -> bytes:
    bgr = (picture() if image is None else image)[..., ::-1]
    return bytes(cv2.imencode(suffix, bgr)[1])


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(b"\0" * 100)
    chunks = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, body))
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff"])
def test_formats_decode_to_rgb(suffix: str) -> None:
    image = decode_image(encoded(suffix), LIMITS)
    assert image.shape == (40, 60, 3)
    assert image[20, 10, 0] > 200
    assert image[20, 10, 2] < 60
    assert image[20, 50, 2] > 200


@pytest.mark.parametrize(
    "data",
    [b"", b"hello, I am text named .jpg", b"\xff\xd8\xff", encoded(".png")[:60], b"\x89PNG\r\n\x1a\n", b"\0" * 4096],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidImage):
        decode_image(data, LIMITS)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_file_cut_off_is_refused(suffix: str, kept: float) -> None:
    data = encoded(suffix, np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8))
    with pytest.raises(InvalidImage):
        decode_image(data[: int(len(data) * kept)], LIMITS)


def test_a_claim_of_60000_x_60000_costs_no_memory() -> None:
    with pytest.raises(InvalidImage, match=r"pixels"):
        decode_image(png_header(60_000, 60_000), LIMITS)


def test_limits_hold_exactly() -> None:
    data = encoded(".png")
    assert decode_image(data, ImageLimits(max_bytes=len(data), max_pixels=40 * 60)).shape == (40, 60, 3)
    with pytest.raises(InvalidImage, match="bytes"):
        decode_image(data, ImageLimits(max_bytes=len(data) - 1))
    with pytest.raises(InvalidImage, match="60x40"):
        decode_image(data, ImageLimits(max_pixels=40 * 60 - 1))


def test_one_pixel_is_a_picture() -> None:
    assert decode_image(encoded(".png", np.full((1, 1, 3), 7, np.uint8)), LIMITS).shape == (1, 1, 3)


def test_grey_sixteen_bit_and_alpha_become_rgb() -> None:
    grey = bytes(cv2.imencode(".png", np.full((8, 8), 100, np.uint8))[1])
    deep = bytes(cv2.imencode(".png", np.full((8, 8, 3), 100 * 257, np.uint16))[1])
    alpha = bytes(cv2.imencode(".png", np.full((8, 8, 4), 100, np.uint8))[1])
    for data in (grey, deep, alpha):
        image = decode_image(data, LIMITS)
        assert image.shape == (8, 8, 3)
        assert image.dtype == np.uint8
        assert abs(int(image[4, 4, 0]) - 100) <= 1


def test_cmyk_and_animations_are_read() -> None:
    buffer = io.BytesIO()
    Image.new("CMYK", (12, 10), (0, 255, 255, 0)).save(buffer, "JPEG")
    red = decode_image(buffer.getvalue(), LIMITS)
    assert red[5, 5, 0] > 180
    assert red[5, 5, 2] < 80
    for form in ("GIF", "WEBP"):
        buffer = io.BytesIO()
        first, second = (Image.new("RGB", (12, 10), colour) for colour in ("white", "black"))
        first.save(buffer, form, save_all=True, append_images=[second], duration=100)
        assert decode_image(buffer.getvalue(), LIMITS)[5, 5, 0] > 240  # the first frame


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF block that holds nothing but an orientation."""
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def test_exif_orientation_is_applied() -> None:
    upright = picture()
    stored = np.rot90(upright)  # a camera held sideways: "rotate by 90 degrees clockwise to view" is 6
    shown = decode_image(with_orientation(encoded(".jpg", np.ascontiguousarray(stored)), 6), LIMITS)
    assert shown.shape == upright.shape
    assert shown[20, 10, 0] > 200
    assert shown[20, 50, 2] > 200
