"""Pillow's readers, one per format, opened by name; tells damaged files from intact ones."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif import HeifImageFile

from facewire.server.errors import InvalidImage
from facewire.server.vision.cutoff import TOLERATED, container_missing, missing_message

Pixels = NDArray[np.uint8]

# Pillow's own limit is 179 megapixels. Ours is checked before any pixel is decoded.
Image.MAX_IMAGE_PIXELS = None

# Readers are called by name: Image.open tries every format that any module has registered.
_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
    "GIF": GifImageFile,
    "AVIF": AvifImageFile,
    "HEIF": HeifImageFile,
    "JPEG2000": Jpeg2KImageFile,
    "PPM": PpmImageFile,
}
UPRIGHT_BY_READER = ("TIFF", "HEIF")  # these readers turn the picture themselves, including its size
TURNED_BY_CONTAINER = ("HEIF", "AVIF")  # whatever EXIF says, every viewer follows the container's rotation and mirror

_PARSERS_RAISE = (
    *(OSError, SyntaxError, ValueError, EOFError, RuntimeError),
    *(TypeError, LookupError, AttributeError, ArithmeticError, struct.error, zlib.error),
)
"""Exceptions for damaged bytes. Only library calls are made within `damage`, so that no bug of ours is reported as
damage."""


@contextmanager
def damage(what: str, data: bytes) -> Iterator[None]:
    """Converts a reader's exception to InvalidImage, with the share of the file that is missing or, if unknown,
    `what`."""
    try:
        yield
    except _PARSERS_RAISE as error:
        missing = container_missing(data)
        raise InvalidImage(missing_message(missing) if missing else what) from error


def opened(data: bytes, form: str) -> ImageFile.ImageFile:
    """The file's reader, after reading the header. Call within `damage`."""
    if form == "WEBP":
        data = webp_mended(data)
    return _READERS[form](io.BytesIO(data))


def read(data: bytes, form: str) -> Pixels:
    """The RGB pixels as stored, or as shown for UPRIGHT_BY_READER. Raises InvalidImage."""
    with damage("the image can't be decoded: the file is cut off or damaged", data), opened(data, form) as image:
        by_rows = form in _BY_ROWS and [tile.codec_name for tile in image.tile] != ["libtiff"]
        try:
            image.load()
        except OSError as error:
            if not by_rows:
                raise
            missing = _rows_missing(image)
            if missing > TOLERATED or form == "TIFF":  # TIFF's reader turns the picture only at the end
                raise InvalidImage(missing_message(missing)) from error
        return _rgb(image)


_BY_ROWS = ("PNG", "GIF", "BMP", "PPM", "TIFF")  # formats whose readers have decoded some rows when they fail


def _rows_missing(image: ImageFile.ImageFile) -> float:
    """After a failed load, the share of rows that the reader never reached, which are empty."""
    image.tile = []
    rows = np.asarray(image).reshape(image.height, -1)
    empty = image.info.get("transparency", 0) if image.format == "GIF" else 0
    return 1.0 - float((rows != empty).any(axis=1).mean())


def _rgb(image: Image.Image) -> Pixels:
    image.info.pop("transparency", None)  # of a palette; Pillow would warn that it is lost
    if image.mode.startswith("I;16"):
        return _grey((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):  # the range of values is unknown
        grey = np.nan_to_num(np.asarray(image, np.float64))
        low, high = float(grey.min()), float(grey.max())
        return _grey(((grey - low) * (255 / max(high - low, 1.0))).astype(np.uint8))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"), np.uint8)


def _grey(pixels: NDArray[np.uint8]) -> Pixels:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), np.uint8)


_PIXELS = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANMF")  # the picture is incomplete without these chunks
_MENDED = 1024 * 1024  # maximum of missing bytes to make up for: no metadata is larger


def gif_size(data: bytes) -> tuple[int, int]:
    """Width and height of the canvas that Pillow fills when it opens a GIF: its screen, made larger where its first
    frame reaches beyond. Of one that is cut off, as far as it is known."""
    width = height = 0
    with suppress(struct.error, IndexError):
        width, height, flags = struct.unpack_from("<HHB", data, 6)
        at = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
        while data[at] != 0x2C:  # a frame
            if data[at] == 0x21:  # an extension: chained blocks, the last of which is empty
                at += 2
                while data[at]:
                    at += data[at] + 1
            at += 1
        left, top, columns, rows = struct.unpack_from("<4H", data, at + 1)
        width, height = max(width, left + columns), max(height, top + rows)
    return width, height


def webp_size(data: bytes) -> tuple[int, int]:
    """The declared width and height; (0, 0) if the file is truncated before them. Pillow's reader allocates memory for
    them as soon as it is opened."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF


def webp_mended(data: bytes) -> bytes:
    """A WebP truncated after its pixels, zero-filled to its full length; any other file unchanged.

    What follows the pixels is metadata, or a padding byte. libwebp rejects truncated files.
    """
    if 8 + int.from_bytes(data[4:8], "little") <= len(data):
        return data
    at = 12
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size
        if at > len(data) and kind in _PIXELS:
            return data
        at += size % 2
    if at - len(data) > _MENDED:
        return data
    whole = data.ljust(at, b"\0")
    return whole[:4] + (len(whole) - 8).to_bytes(4, "little") + whole[8:]
