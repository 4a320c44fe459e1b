"""Bytes of a picture file -> RGB pixels as shown, under byte and pixel limits.

One reader per format: OpenCV for JPEG, which it can also decode at a half or a quarter of its size, Pillow for the
others (docs/decisions/0037). protocol/formats.py lists the formats.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from facewire.protocol.formats import NAMES, format_of, unsupported
from facewire.protocol.settings import Unit, setting
from facewire.server.errors import InvalidImage
from facewire.server.vision import readers
from facewire.server.vision.capture import capture_time
from facewire.server.vision.cutoff import JPEG_END, TOLERATED, jpeg_end, jpeg_missing, missing_message
from facewire.server.vision.readers import gif_size, webp_size

Pixels = NDArray[np.uint8]

Room = Callable[[tuple[int, ...]], Pixels | None]
"""Returns an array of the given shape to decode into, which saves a copy; None if there is not enough room."""

UPRIGHT = 1  # EXIF's orientation of pixels stored as shown

ELONGATED = 2  # length to width: at most this in photographs, more in panoramas

MEGAPIXEL = 1_000_000


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Limits for one picture. 100 megapixels is more than any phone takes, and 300 MB of memory once decoded."""

    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = setting(
        100 * MEGAPIXEL, unit=Unit(MEGAPIXEL), flag="--max-megapixels", help="largest picture decoded"
    )


@dataclass(frozen=True, slots=True)
class Header:
    """A file's declared content: `format`: key of its format (protocol/formats.py); `width` and `height` in pixels as
    shown.

    `orientation`: EXIF's value for the pixels as our reader gives them; `recorded`: for those stored, by which other
    programs turn them, too. It is 1 where the container itself turns the picture (HEIC, AVIF). `taken`: when, as
    `server.vision.capture.capture_time` says it.
    """

    format: str
    width: int
    height: int
    orientation: int = UPRIGHT
    recorded: int = UPRIGHT
    taken: str = ""


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded picture, possibly at reduced scale: `width` and `height` are those of the full-size picture as shown,
    about `factor` times those of `pixels`."""

    pixels: Pixels
    factor: int
    width: int
    height: int


def decode_image(data: bytes, limits: ImageLimits) -> Pixels:
    """The picture as shown, (height, width, 3) uint8 RGB; if there are several, the first, or the one marked as
    primary.

    Grey, 16-bit, CMYK and transparent pictures become 8-bit RGB. A file that lacks only its very end is accepted.

    Raises InvalidImage, with the reason, for anything but a complete picture within the limits.
    """
    return _decoded(data, read_header(data, limits), 1)


def decode_photo(data: bytes, limits: ImageLimits, enough: int, into: Room | None = None) -> Photo:
    """As `decode_image`, but a JPEG whose longer side is at least twice `enough` pixels is decoded at a half, a quarter
    or an eighth of its size, keeping at least `enough`: 12 megapixels at a half take 28 ms instead of 65.

    A picture more than ELONGATED times as long as wide is treated as that long, because a panorama would keep too few
    rows."""
    header = read_header(data, limits)
    factor = reduction(header, enough)
    pixels = _decoded(data, header, factor, into)
    if factor > 1:
        return Photo(pixels, factor, header.width, header.height)
    height, width = pixels.shape[:2]
    return Photo(pixels, 1, width, height)


def reduction(header: Header, enough: int) -> int:
    """The factor by which `decode_photo` reduces a picture."""
    longest = min(max(header.width, header.height), ELONGATED * min(header.width, header.height))
    return max((f for f in _REDUCED if longest >= f * enough), default=1) if header.format == "JPEG" else 1


def read_header(data: bytes, limits: ImageLimits) -> Header:
    """The file's declared content, without decoding a pixel (0.05 ms). Raises InvalidImage for an unsupported format,
    or a picture over the limits."""
    check_bytes(data, limits)
    form = format_of(data)
    if form is None:
        raise InvalidImage(unsupported(data))
    if form.key == "WEBP":
        check_pixels(Header(form.key, *webp_size(data)), limits)
    if form.key == "GIF":
        check_pixels(Header(form.key, *gif_size(data)), limits)
    header = _header(data, form.key)
    check_pixels(header, limits)
    return header


def check_bytes(data: bytes, limits: ImageLimits) -> None:
    """Raises InvalidImage for empty data, or more bytes than the limit."""
    if not data:
        raise InvalidImage(f"the image is empty: send the bytes of a picture file ({NAMES})")
    if len(data) > limits.max_bytes:
        raise InvalidImage(f"the image has {len(data)} bytes, the limit is {limits.max_bytes}")


def check_pixels(header: Header, limits: ImageLimits) -> None:
    """Raises InvalidImage if the header declares more pixels than the limit."""
    if header.width * header.height > limits.max_pixels:
        raise InvalidImage(
            f"the image claims {header.width}x{header.height} pixels, "
            f"the limit is {limits.max_pixels / MEGAPIXEL:g} megapixels"
        )


def _header(data: bytes, form: str) -> Header:
    with readers.damage("the image's header is damaged or cut off", data), readers.opened(data, form) as image:
        width, height = image.size
        exif = png_exif(data) if form == "PNG" else (image.info.get("exif") or b"")
        recorded = _recorded(image, form, exif)
        taken = capture_time(data if form == "TIFF" else exif)
        if isinstance(image, TiffImageFile) and (image.tag_v2.get(_SUBFILE_TYPE) == 1 or data[8:10] == b"CR"):
            raise InvalidImage("a camera's raw file, of which only a small preview could be read: export it as a JPEG")
    orientation = UPRIGHT if form in readers.UPRIGHT_BY_READER else exif_orientation(exif)
    return Header(form, *((height, width) if lies(orientation) else (width, height)), orientation, recorded, taken)


def _recorded(image: ImageFile, form: str, exif: bytes) -> int:
    if form in readers.TURNED_BY_CONTAINER:
        return UPRIGHT
    if not isinstance(image, TiffImageFile):
        return exif_orientation(exif)
    value = image.tag_v2.get(_TAG, UPRIGHT)
    return value if value in range(1, 9) else UPRIGHT


_SUBFILE_TYPE = 254  # tag of a TIFF's first picture; value 1: a smaller copy of another one


def _decoded(data: bytes, header: Header, factor: int, into: Room | None = None) -> Pixels:
    if header.format != "JPEG":
        return turned(readers.read(data, header.format), header.orientation)
    return turned(_jpeg(data, factor, into if header.orientation == UPRIGHT else None), header.orientation)


_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_FILLS = (128, 65)  # the values of libjpeg's zeros for missing pixels: in any JPEG, and in CMYK


def _jpeg(data: bytes, factor: int, into: Room | None) -> Pixels:
    """The pixels as stored."""
    pixels = _by_opencv(data, factor, into)
    filled = pixels is not None and any((pixels[-1, -1] == fill).all() for fill in _FILLS)
    if pixels is not None and not filled and data.endswith(JPEG_END):
        return pixels
    end = jpeg_end(data)
    if end.marked and not filled:
        if pixels is None:
            raise InvalidImage("the image can't be decoded: the file is damaged")
        return pixels
    missing = jpeg_missing(data, end, lambda jpeg: _by_opencv(jpeg, factor), factor)
    if missing is None:
        raise InvalidImage("the file is cut off before the picture begins; copy it again")
    if not (end.fine or end.marked) or (missing > TOLERATED and end.scans > 1):
        raise InvalidImage("the file is cut off: the finer parts of the picture are missing; copy it again")
    if missing > TOLERATED:
        raise InvalidImage(missing_message(missing))
    pixels = _by_opencv(data[: end.at] + JPEG_END, factor)
    assert pixels is not None  # jpeg_missing decoded it
    return pixels


def _by_opencv(data: bytes, factor: int, into: Room | None = None) -> Pixels | None:
    """RGB pixels as stored, without EXIF rotation; None if the file is truncated or damaged. Raises MemoryError."""
    flags = _REDUCED.get(factor, cv2.IMREAD_COLOR_RGB) | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from error
        return None
    if image is None:
        return None
    if factor > 1:  # OpenCV reduces only to BGR; converting the reduced picture costs 0.7 ms for 3 megapixels
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=into(image.shape) if into else None)
    return np.asarray(image, dtype=np.uint8)


JPEG_QUALITY = 92
"""For stored face crops."""


def jpeg_bytes(pixels: Pixels) -> bytes:
    """RGB pixels as a JPEG file, for storage and display."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ValueError(f"no JPEG can be made of {pixels.shape}")
    return data.tobytes()


# ---- EXIF's orientation, 1 to 8

_TAG = 0x0112
_FORMATS = {3: "H", 4: "L"}  # types of the tag's value: EXIF requires a short, some programs write a long
_LONGEST = 1000  # maximum number of directory entries read


def exif_orientation(exif: bytes) -> int:
    """The orientation in an EXIF block, with or without its six-byte prefix "Exif"; 1 if it is missing or damaged,
    which is no reason to refuse the picture."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return UPRIGHT
    try:
        (at,) = struct.unpack_from(order + "L", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, at)
        for entry in range(at + 2, at + 2 + 12 * min(count, _LONGEST), 12):
            tag, kind = struct.unpack_from(order + "HH", exif, entry)
            if tag == _TAG and kind in _FORMATS:
                (value,) = struct.unpack_from(order + _FORMATS[kind], exif, entry + 8)
                return value if 1 <= value <= 8 else UPRIGHT
    except struct.error:  # truncated
        return UPRIGHT
    return UPRIGHT


def png_exif(data: bytes) -> bytes:
    """The EXIF block of a PNG, which may be before or after the pixels; empty if there is none."""
    at = 8
    for _ in range(_MOST_CHUNKS):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"eXIf":
            return data[at + 8 : at + 8 + length]
        at += 12 + length
        if at >= len(data):
            break
    return b""


_MOST_CHUNKS = 65_536  # 32 MB in chunks of 8 KB, as libpng writes them, are 4,096


def lies(orientation: int) -> bool:
    """Whether turning swaps width and height."""
    return orientation >= 5


def turned(pixels: Pixels, orientation: int) -> Pixels:
    """The (height, width, 3) pixels turned as the orientation demands."""
    if orientation == UPRIGHT:
        return pixels
    if orientation in _FLIPS:
        result = cv2.flip(pixels, _FLIPS[orientation])
    elif orientation in _ROTATIONS:
        result = cv2.rotate(pixels, _ROTATIONS[orientation])
    else:
        result = cv2.transpose(pixels)
        if orientation == 7:
            result = cv2.rotate(result, cv2.ROTATE_180)
    return np.asarray(result, np.uint8)


_FLIPS = {2: 1, 4: 0}  # left to right, top to bottom
_ROTATIONS = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
