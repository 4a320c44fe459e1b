"""Bytes of a picture file -> RGB pixels as shown, under byte and pixel limits.

One reader a format, whatever was asked before: OpenCV for JPEG, which it can also decode at a half or a quarter of its
size, Pillow for the others (docs/decisions/0037). protocol/formats.py says which formats there are.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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

from protocol.formats import NAMES, UNSUPPORTED, Format, format_of
from server.errors import InvalidImage
from server.vision.cutoff import TOLERATED, container_missing, jpeg_end, jpeg_missing, told
from server.vision.orientation import UPRIGHT, exif_orientation, lies, png_exif, turned
from server.vision.webp import webp_mended, webp_size

Pixels = NDArray[np.uint8]

MEGAPIXEL = 1_000_000

# Pillow has a limit of its own, 179 megapixels. Ours is checked before a pixel is decoded.
Image.MAX_IMAGE_PIXELS = None

# Called by name, not looked for: Image.open asks every format that some module has registered by now.
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
_UPRIGHT_BY_READER = ("TIFF", "HEIF")  # these readers turn the picture themselves, size and all


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What one picture may cost. 100 megapixels is more than any phone takes, and 300 MB of memory once decoded."""

    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 100 * MEGAPIXEL


@dataclass(frozen=True, slots=True)
class Header:
    """What a file claims to hold: `width` and `height` in pixels as shown; `orientation`: how to turn what is stored,
    as EXIF counts."""

    format: Format
    width: int
    height: int
    orientation: int


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded picture, perhaps at reduced scale: `width` and `height` are those of the whole picture as shown, and
    about `factor` times those of `pixels`."""

    pixels: Pixels
    factor: int
    width: int
    height: int


def decode_image(data: bytes, limits: ImageLimits) -> Pixels:
    """The picture as shown, (height, width, 3) uint8 RGB; of several the first, or the one the file calls its main one.

    Grey, 16-bit, CMYK and transparent pictures become 8-bit RGB. A file that lacks only its end is read.

    Raises InvalidImage, with the reason, for anything that is not a whole picture within the limits.
    """
    return _decoded(data, read_header(data, limits), 1)


def decode_photo(data: bytes, limits: ImageLimits, enough: int) -> Photo:
    """As `decode_image`, but a JPEG whose longer side is at least twice `enough` pixels is decoded at a half, a quarter
    or an eighth of its size, as long as `enough` are left: 12 megapixels at a half take 28 ms instead of 65."""
    header = read_header(data, limits)
    longest = max(header.width, header.height)
    factor = max((f for f in _REDUCED if longest >= f * enough), default=1) if header.format.key == "JPEG" else 1
    pixels = _decoded(data, header, factor)
    if factor > 1:
        return Photo(pixels, factor, header.width, header.height)
    height, width = pixels.shape[:2]
    return Photo(pixels, 1, width, height)


def read_header(data: bytes, limits: ImageLimits) -> Header:
    """What the file claims, before a pixel is decoded (0.05 ms). Raises InvalidImage for what is no picture, or one
    over the limits."""
    if not data:
        raise InvalidImage(f"the image is empty: send the bytes of a picture file ({NAMES})")
    if len(data) > limits.max_bytes:
        raise InvalidImage(f"the image has {len(data)} bytes, the limit is {limits.max_bytes}")
    form = format_of(data)
    if form is None:
        raise InvalidImage(UNSUPPORTED)
    if form.key == "WEBP":
        _check_pixels(*webp_size(data), limits)
    header = _header(data, form)
    _check_pixels(header.width, header.height, limits)
    return header


def _check_pixels(width: int, height: int, limits: ImageLimits) -> None:
    if width * height > limits.max_pixels:
        raise InvalidImage(
            f"the image claims {width}x{height} pixels, the limit is {limits.max_pixels / MEGAPIXEL:g} megapixels"
        )


def _header(data: bytes, form: Format) -> Header:
    with _damage("the image's header is damaged or cut off", data), _opened(data, form) as image:
        width, height = image.size
        exif = png_exif(data) if form.key == "PNG" else image.info.get("exif", b"")
        if isinstance(image, TiffImageFile) and (image.tag_v2.get(_SUBFILE_TYPE) == 1 or data[8:10] == b"CR"):
            raise InvalidImage("a raw file of a camera, which begins with a small preview: export it as a JPEG")
    orientation = UPRIGHT if form.key in _UPRIGHT_BY_READER else exif_orientation(exif)
    return Header(form, *((height, width) if lies(orientation) else (width, height)), orientation)


_SUBFILE_TYPE = 254  # of a TIFF's first picture; 1: a smaller copy of another one


def _decoded(data: bytes, header: Header, factor: int) -> Pixels:
    decode = _jpeg if header.format.key == "JPEG" else _by_pillow
    return turned(decode(data, header.format, factor), header.orientation)


# ----------------------------------------------------------------------------------------------------- by OpenCV

_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_FILLS = (128, 65)  # what becomes of the zeros that libjpeg puts where pixels are missing: in any JPEG, and in CMYK


def _jpeg(data: bytes, form: Format, factor: int) -> Pixels:
    """The pixels as they are stored."""
    pixels = _by_opencv(data, factor)
    if pixels is not None and not any((pixels[-1, -1] == fill).all() for fill in _FILLS):
        return pixels
    end = jpeg_end(data)
    if pixels is None and end.marked:
        raise InvalidImage("the image can't be decoded: the file is damaged")
    missing = jpeg_missing(data, end, lambda jpeg: _by_opencv(jpeg, factor), factor)
    if missing is None:
        raise InvalidImage("the file is cut off before the picture begins; copy it again")
    if not end.fine or (missing > TOLERATED and end.scans > 1):
        raise InvalidImage("the file is cut off: the finer parts of the picture are missing; copy it again")
    if missing > TOLERATED:
        raise InvalidImage(told(missing))
    if pixels is None:
        pixels = _by_opencv(data[: end.at].rstrip(b"\xff") + b"\xff\xd9", factor)
    assert pixels is not None  # it was decoded to see what is missing
    return pixels


def _by_opencv(data: bytes, factor: int) -> Pixels | None:
    """RGB, not turned; None where the file is cut off or damaged."""
    flags = _REDUCED.get(factor, cv2.IMREAD_COLOR_RGB) | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    if image is None:
        return None
    if factor > 1:  # OpenCV reduces only into BGR; swapping what is left costs 0.7 ms for 3 megapixels
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return np.asarray(image, dtype=np.uint8)


# ----------------------------------------------------------------------------------------------------- by Pillow

_PARSERS_RAISE = (
    *(OSError, SyntaxError, ValueError, EOFError, RuntimeError, MemoryError),
    *(TypeError, LookupError, AttributeError, ArithmeticError, struct.error, zlib.error),
)
"""On damaged bytes. Only libraries are called within `_damage`, so that no bug of ours is called damage."""


@contextmanager
def _damage(what: str, data: bytes) -> Iterator[None]:
    try:
        yield
    except _PARSERS_RAISE as error:
        missing = container_missing(data)
        raise InvalidImage(told(missing) if missing else what) from error


def _opened(data: bytes, form: Format) -> ImageFile.ImageFile:
    if form.key == "WEBP":
        data = webp_mended(data)
    return _READERS[form.key](io.BytesIO(data))


def _by_pillow(data: bytes, form: Format, factor: int) -> Pixels:
    """The pixels as they are stored, or as shown where the reader turns them itself; `factor` is 1."""
    with _damage("the image can't be decoded: the file is cut off or damaged", data), _opened(data, form) as image:
        by_rows = form.key in _BY_ROWS and [tile.codec_name for tile in image.tile] != ["libtiff"]
        try:
            image.load()
        except OSError as error:
            if not by_rows:
                raise
            missing = _rows_missing(image)
            if missing > TOLERATED or form.key == "TIFF":  # which its reader turns only when it has come to the end
                raise InvalidImage(told(missing)) from error
        return _rgb(image)


_BY_ROWS = ("PNG", "GIF", "BMP", "PPM", "TIFF")  # formats of which a reader has read some rows when it fails


def _rows_missing(image: ImageFile.ImageFile) -> float:
    """After a failed load, the share of rows that the reader never came to, which are empty."""
    image.tile = []
    rows = np.asarray(image).reshape(image.height, -1)
    empty = image.info.get("transparency", 0) if image.format == "GIF" else 0
    return 1.0 - float((rows != empty).any(axis=1).mean())


def _rgb(image: Image.Image) -> Pixels:
    image.info.pop("transparency", None)  # of a palette; Pillow would warn that it is lost
    if image.mode.startswith("I;16"):
        return _grey((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):  # of no known range
        grey = np.nan_to_num(np.asarray(image, np.float64))
        low, high = float(grey.min()), float(grey.max())
        return _grey(((grey - low) * (255 / max(high - low, 1.0))).astype(np.uint8))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"), np.uint8)


def _grey(pixels: NDArray[np.uint8]) -> Pixels:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), np.uint8)


JPEG_QUALITY = 92
"""Of stored face crops."""


def jpeg_bytes(pixels: Pixels) -> bytes:
    """RGB pixels as a JPEG file, to be kept and shown."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ValueError(f"no JPEG can be made of {pixels.shape}")
    return data.tobytes()
