"""A picture with different corners, stored with every way of recording an orientation."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.support.pictures import saved

WIDTH, HEIGHT = 96, 64
CORNERS = {"red": (0, 0), "lime": (1, 0), "blue": (0, 1), "white": (1, 1)}
"""Colour -> column and row of its quarter."""

_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""The inverse of each EXIF orientation."""


def upright(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """The upright picture."""
    image = Image.new("RGB", (width, height))
    half = (width // 2, height // 2)
    for colour, (column, row) in CORNERS.items():
        image.paste(Image.new("RGB", half, colour), (column * half[0], row * half[1]))
    return image


def looks_upright(pixels: NDArray[np.uint8]) -> bool:
    """Are the quarters in the right places?"""
    height, width = pixels.shape[:2]
    for colour, (column, row) in CORNERS.items():
        seen = pixels[(1 + 2 * row) * height // 4, (1 + 2 * column) * width // 4].astype(int)
        if np.abs(seen - np.asarray(Image.new("RGB", (1, 1), colour))[0, 0]).max() > 40:
            return False
    return True


def exif_block(orientation: int, order: str = "<") -> bytes:
    """An EXIF block with only an orientation."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(order + "LHHHLHHL", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def turned_file(form: str, orientation: int, image: Image.Image | None = None, **options: object) -> bytes:
    """A file whose pixels are upright after applying `orientation`, stored in the format's own way: for HEIF and AVIF,
    as the container's rotation and mirror."""
    image = upright() if image is None else image
    stored = image.transpose(_STORED[orientation]) if orientation > 1 else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    if form == "TIFF":
        return saved(stored, form, tiffinfo={0x0112: orientation}, **options)
    return saved(stored, form, exif=exif.tobytes(), **options)


def with_chunk_behind_the_pixels(png: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk before its end."""
    chunk = struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))
    return png[:-12] + chunk + png[-12:]
