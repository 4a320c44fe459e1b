"""Turning a picture as EXIF's orientation (1 to 8) demands."""

from __future__ import annotations

import struct

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

UPRIGHT = 1
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
