"""The pictures of albums: what a file claims to be, its pixels, thumbnails and crops.

OpenCV decodes what it can (server/vision/image); Pillow does the rest, HEIC through pillow-heif.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import cv2
import numpy as np
import pillow_heif
from PIL import Image, ImageOps, UnidentifiedImageError

from server.albums.limits import AlbumLimits
from server.errors import InvalidImage
from server.gallery.records import Box
from server.vision.image import MEGAPIXEL, ImageLimits, Pixels, decode_photo

# Named, so that Pillow tries no others: some of those start programs (EPS) or read what isn't a picture.
MIME_OF = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # a JPEG with a second picture behind it, as phones make them
    "PNG": "image/png",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
    "HEIF": "image/heic",
}
_READERS = tuple(form for form in MIME_OF if form != "MPO")  # which the one for JPEG opens
_EXTENSIONS = ".jpg .jpeg .jpe .jfif .mpo .png .webp .bmp .dib .tif .tiff .gif .heic .heif .hif"
EXTENSIONS = frozenset(_EXTENSIONS.split())
"""Of files that are worth opening in a folder or a ZIP."""

_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_QUALITY = 88  # JPEG, of thumbnails and crops: half the bytes of 95, and no difference at their size
_LOSSLESS_ENOUGH = 97  # of what OpenCV can't read, on its way to the detector
_AROUND = 1.6  # a crop shows so many times the face's box: hair and chin too

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Header:
    """What a file claims: Pillow's word for its format, and pixels as shown."""

    format: str
    width: int
    height: int


def look_at(data: bytes, limits: AlbumLimits) -> Header:
    """A picture's header. Raises InvalidImage, with the reason, for what is no picture or over the limits."""
    if not data:
        raise InvalidImage("the file is empty")
    if len(data) > limits.photo_bytes:
        raise InvalidImage(f"the picture has {len(data)} bytes, the limit is {limits.photo_bytes}")
    header = _damaged_is_invalid(lambda: _header(data))
    if header.width * header.height > limits.photo_pixels:
        raise InvalidImage(
            f"the picture claims {header.width}x{header.height} pixels, "
            f"the limit is {limits.photo_pixels / MEGAPIXEL:g} megapixels"
        )
    return header


def decoded(data: bytes, limits: AlbumLimits, enough: int) -> Pixels:
    """RGB as shown, perhaps at reduced scale, its longer side then at least `enough`. Raises InvalidImage."""
    _register_heif()
    try:
        return decode_photo(data, ImageLimits(limits.photo_bytes, limits.photo_pixels), enough).pixels
    except InvalidImage:
        return _damaged_is_invalid(lambda: _by_pillow(data))


def for_the_detector(data: bytes) -> bytes:
    """A picture that OpenCV can't read as a JPEG that it can, as shown. Raises InvalidImage."""
    return _jpeg(_damaged_is_invalid(lambda: _by_pillow(data)), _LOSSLESS_ENOUGH)


def thumbnail(data: bytes, limits: AlbumLimits, size: int) -> tuple[bytes, int, int]:
    """A JPEG as shown whose longer side is at most `size`, its width and height. Raises InvalidImage."""
    pixels = decoded(data, limits, size)
    height, width = pixels.shape[:2]
    factor = min(1.0, size / max(width, height))
    shape = (max(1, round(width * factor)), max(1, round(height * factor)))
    return _jpeg(_resized(pixels, shape), _QUALITY), *shape


def face_crop(data: bytes, limits: AlbumLimits, box: Box, shown: tuple[int, int], size: int) -> bytes:
    """A square JPEG, `size` wide, around `box` (pixels of the whole picture, which is `shown` wide and high)."""
    x, y, w, h = box
    side = max(w, h) * _AROUND
    pixels = decoded(data, limits, round(max(shown) * min(1.0, size / side)))
    scale = pixels.shape[1] / shown[0]
    half = max(1.0, side * scale / 2)
    left, top = (x + w / 2) * scale - half, (y + h / 2) * scale - half
    # Where the square reaches over the edge, the edge goes on: a face at the border stays in the middle.
    matrix = np.array([[2 * half / size, 0, left], [0, 2 * half / size, top]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(pixels, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return _jpeg(np.asarray(crop, np.uint8), _QUALITY)


def _header(data: bytes) -> Header:
    _register_heif()
    with Image.open(io.BytesIO(data), formats=_READERS) as image:
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
    with Image.open(io.BytesIO(data), formats=_READERS) as image:
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


def _resized(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    return np.asarray(cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA), np.uint8)


def _jpeg(pixels: Pixels, quality: int) -> bytes:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise InvalidImage("the picture can't be written as a JPEG: a side is longer than 65,535 pixels")
    return data.tobytes()


@cache
def _register_heif() -> None:
    pillow_heif.register_heif_opener(thumbnails=False)
