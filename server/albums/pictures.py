"""Reads picture headers, and makes thumbnails and crops."""

from __future__ import annotations

import cv2
import numpy as np

from facewire.protocol.formats import video_format_of
from facewire.server.albums.settings import AlbumLimits
from facewire.server.errors import InvalidImage
from facewire.server.gallery.records import Box
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.decoding.on_disk import OnDisk
from facewire.server.vision.image import Header, ImageLimits, Pixels

_QUALITY = 88  # JPEG quality of thumbnails and crops: half the bytes of 95, no visible difference at their size
_TILE = 320  # the largest tile
# Tiles are loaded by the screenful, and shown at half their size or less; progressive ones are drawn as they come
# (slow_line.py in tests/browser).
_TILE_OPTIONS = (
    cv2.IMWRITE_JPEG_QUALITY, 65,
    cv2.IMWRITE_JPEG_OPTIMIZE, 1,
    cv2.IMWRITE_JPEG_PROGRESSIVE, 1,
)  # fmt: skip
_AROUND = 1.6  # side of a crop as a multiple of the face's box, to include hair and chin


def look_at_original(decoder: Decoder, file: bytes | OnDisk, limits: AlbumLimits) -> tuple[Header, float | None]:
    """A picture's header and None, or a video's and its length in seconds. Raises InvalidImage."""
    if isinstance(file, OnDisk) and file.video_format is None:
        file = file.read(limits.photo_bytes)
    if isinstance(file, bytes) and video_format_of(file) is None:
        return look_at(decoder, file, limits), None
    video = decoder.films.look(file)
    return Header(video.format, video.width, video.height), video.seconds


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
    return _jpeg(_resized(pixels, shape), size), *shape


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
    return _jpeg(np.asarray(crop, np.uint8), size)


def _of_images(limits: AlbumLimits) -> ImageLimits:
    return ImageLimits(limits.photo_bytes, limits.photo_pixels)


def _resized(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    return np.asarray(cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA), np.uint8)


def _jpeg(pixels: Pixels, size: int) -> bytes:
    options = _TILE_OPTIONS if size <= _TILE else (cv2.IMWRITE_JPEG_QUALITY, _QUALITY)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise InvalidImage("the picture can't be written as a JPEG: a side is longer than 65,535 pixels")
    return data.tobytes()
