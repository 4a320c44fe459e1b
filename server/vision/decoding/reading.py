"""What a child does with a file: its structure, its header, its pixels. Only children import this.

OpenCV decodes what it can (server/vision/image); Pillow does the rest, HEIC through pillow-heif.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
import pillow_heif
from PIL import Image, ImageOps, UnidentifiedImageError

from server.errors import InvalidImage
from server.vision.decoding import guards
from server.vision.image import (
    Header,
    ImageLimits,
    Photo,
    Pixels,
    Room,
    check_pixels,
    decode_photo,
    reduction,
)

# Named, so that Pillow tries no others: some of those start programs (EPS) or read what isn't a picture.
READERS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "HEIF")

_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)  # EXIF orientations that swap width and height

_WHOLE = 1 << 31  # no picture has a side of twice that, so none is reduced

_BYTES_A_PIXEL = 12
"""What decoding takes besides the result, where we don't know; the child's limit doubles it."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Plan:
    """What decoding a picture will take: `result`: bytes of its pixels at most, `memory`: bytes besides them.
    `cleared`: its decoder may leave pixels unwritten where the data are damaged."""

    data: bytes
    pixels: int
    result: int
    memory: int
    cleared: bool


def warm_up() -> None:
    """Everything imported that a first picture would have to wait for."""
    Image.init()
    _register_heif()


def look(data: bytes, limits: ImageLimits) -> Header:
    """A header as shown: width and height as the EXIF orientation has them. Raises InvalidImage."""
    return _look(guards.checked(data).data, limits)


def before_looking(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """Bytes that reading the header takes, and pixels, for a file whose reader makes room for all of them then (WebP);
    0, 0 for others. Raises InvalidImage for more pixels than the limit."""
    size = guards.webp_size(data)
    if size is None:
        return 0, 0
    check_pixels(Header("WEBP", *size), limits)
    return size[0] * size[1] * _BYTES_A_PIXEL, size[0] * size[1]


def plan(data: bytes, limits: ImageLimits, enough: int | None) -> Plan:
    """What `decode` will take. Raises InvalidImage for what need not be tried."""
    safe = guards.checked(data)
    header = _look(safe.data, limits)
    pixels = header.width * header.height
    factor = reduction(header, enough or _WHOLE)
    result = 3 * -(-header.width // factor) * -(-header.height // factor)
    is_jpeg = header.format in ("JPEG", "MPO")
    # A JPEG is decoded row by row, unless it comes in several scans.
    memory = safe.coefficients + result if is_jpeg else pixels * _BYTES_A_PIXEL
    return Plan(safe.data, pixels, result, memory, cleared=not is_jpeg)


def decode(plan: Plan, limits: ImageLimits, enough: int | None, into: Room) -> Photo:
    """The pixels, as `server.vision.image.decode_photo`, by Pillow where OpenCV can't. Raises InvalidImage."""
    try:
        return decode_photo(plan.data, limits, enough or _WHOLE, into)
    except InvalidImage:
        pixels = _damaged_is_invalid(lambda: _by_pillow(plan.data))
    return Photo(pixels, 1, pixels.shape[1], pixels.shape[0])


def _look(data: bytes, limits: ImageLimits) -> Header:
    header = _damaged_is_invalid(lambda: _header(data))
    check_pixels(header, limits)
    return header


def _header(data: bytes) -> Header:
    _register_heif()
    with Image.open(io.BytesIO(data), formats=READERS) as image:
        lying = _orientation(image) in _LYING
        width, height = image.size
        return Header(image.format or "", *((height, width) if lying else (width, height)))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none, without decoding a pixel."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # Pillow would look for it behind the pixels, and decode them all
    return int(image.getexif().get(_ORIENTATION, 1))


def _by_pillow(data: bytes) -> Pixels:
    _register_heif()
    with Image.open(io.BytesIO(data), formats=READERS) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I") or upright.mode == "F":  # 16 bits and more a pixel: Pillow would clip them
            grey = np.asarray(upright, np.float64)
            low, high = float(grey.min()), float(grey.max())
            grey = (grey - low) * (255 / max(high - low, 1.0))
            upright = Image.fromarray(grey.astype(np.uint8))
        return np.asarray(upright.convert("RGB"), np.uint8)


def _damaged_is_invalid(read: Callable[[], _Result]) -> _Result:
    try:
        return read()
    except UnidentifiedImageError as error:
        raise InvalidImage("this is no picture that is read here (JPEG, PNG, WebP, BMP, TIFF, GIF, HEIC)") from error
    # What Pillow's readers raise on damaged files. Its own limit on pixels is switched off, ours was checked.
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError, TypeError, IndexError) as error:
        raise InvalidImage("the picture is cut off or damaged") from error


@cache
def _register_heif() -> None:
    pillow_heif.register_heif_opener(thumbnails=False)
