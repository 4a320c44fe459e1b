"""Bytes of a picture file -> RGB pixels, under byte and pixel limits, EXIF orientation applied."""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from server.errors import InvalidImage

Pixels = NDArray[np.uint8]

MEGAPIXEL = 1_000_000

# Pillow has a limit of its own, 179 megapixels. Ours is checked before a pixel is decoded.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What one picture may cost. 100 megapixels is more than any phone takes, and 300 MB of memory once decoded."""

    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 100 * MEGAPIXEL


def decode_image(data: bytes, limits: ImageLimits) -> Pixels:
    """The picture as shown, (height, width, 3) uint8 RGB; of an animation the first frame.

    The header is read first (Pillow, 0.03 ms), so that a picture over the limits costs no memory; OpenCV decodes, three
    times as fast as Pillow. Grey, 16-bit, CMYK and transparent pictures become 8-bit RGB.

    Raises InvalidImage, with the reason, for anything that is not a whole picture within the limits.
    """
    if not data:
        raise InvalidImage("the image is empty: send the bytes of a JPEG, PNG, WebP or BMP file")
    if len(data) > limits.max_bytes:
        raise InvalidImage(f"the image has {len(data)} bytes, the limit is {limits.max_bytes}")
    width, height = _declared_size(data)
    if width * height > limits.max_pixels:
        raise InvalidImage(
            f"the image claims {width}x{height} pixels, the limit is {limits.max_pixels / MEGAPIXEL:g} megapixels"
        )
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise InvalidImage("the image can't be decoded: the file is damaged") from error
    if image is None:
        raise InvalidImage("the image can't be decoded: the file is cut off or damaged")
    return np.asarray(image, dtype=np.uint8)


def _declared_size(data: bytes) -> tuple[int, int]:
    """Width and height that the file's header claims, nothing decoded."""
    try:
        with Image.open(io.BytesIO(data)) as header:
            return header.size
    except UnidentifiedImageError as error:
        raise InvalidImage("these bytes are no picture that is read here (JPEG, PNG, WebP, BMP, TIFF, GIF)") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow's parsers raise on damaged headers
        raise InvalidImage("the image's header is damaged") from error
