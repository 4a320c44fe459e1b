"""Reads picture headers, and makes thumbnails and crops."""

from __future__ import annotations

import cv2
import numpy as np

from facewire.server.albums.limits import AlbumLimits
from facewire.server.errors import InvalidImage
from facewire.server.gallery.records import Box
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.image import Header, ImageLimits, Pixels

_QUALITY = 88  # JPEG quality of thumbnails and crops: half the bytes of 95, no visible difference at their size
_AROUND = 1.6  # side of a crop as a multiple of the face's box, to include hair and chin


def look_at(decoder: Decoder, data: bytes, limits: AlbumLimits) -> Header:
    """A picture's header. Raises InvalidImage, with the reason, if it is not a picture or over the limits."""
    return decoder.look(data, _of_images(limits))


def decoded(decoder: Decoder, data: bytes, limits: AlbumLimits, enough: int) -> Pixels:
    """RGB, upright, perhaps at reduced scale with a longer side of at least `enough` pixels. Raises InvalidImage."""
    return decoder.photo(data, _of_images(limits), enough).pixels


def thumbnail(decoder: Decoder, data: bytes, limits: AlbumLimits, size: int) -> tuple[bytes, int, int]:
    """An upright JPEG whose longer side is at most `size` pixels, its width and height. Raises InvalidImage."""
    pixels = decoded(decoder, data, limits, size)
    height, width = pixels.shape[:2]
    factor = min(1.0, size / max(width, height))
    shape = (max(1, round(width * factor)), max(1, round(height * factor)))
    return _jpeg(_resized(pixels, shape), _QUALITY), *shape


def face_crop(decoder: Decoder, data: bytes, limits: AlbumLimits, box: Box, shown: tuple[int, int], size: int) -> bytes:
    """A square JPEG, `size` wide, around `box` (in pixels of the full picture, whose width and height are `shown`)."""
    x, y, w, h = box
    side = max(w, h) * _AROUND
    pixels = decoded(decoder, data, limits, round(max(shown) * min(1.0, size / side)))
    scale = pixels.shape[1] / shown[0]
    half = max(1.0, side * scale / 2)
    left, top = (x + w / 2) * scale - half, (y + h / 2) * scale - half
    # Beyond the picture's edge the border pixels are repeated, so a face at the border stays centred.
    matrix = np.array([[2 * half / size, 0, left], [0, 2 * half / size, top]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(pixels, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return _jpeg(np.asarray(crop, np.uint8), _QUALITY)


def _of_images(limits: AlbumLimits) -> ImageLimits:
    return ImageLimits(limits.photo_bytes, limits.photo_pixels)


def _resized(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    return np.asarray(cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA), np.uint8)


def _jpeg(pixels: Pixels, quality: int) -> bytes:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise InvalidImage("the picture can't be written as a JPEG: a side is longer than 65,535 pixels")
    return data.tobytes()
