"""The EXIF orientation of a JPEG file: one tag, written by hand."""

from __future__ import annotations

import struct

SHOWN_TURNED_RIGHT = 6
"""A viewer turns the stored pixels by a quarter, clockwise."""

_START_OF_IMAGE = b"\xff\xd8"
_APP1 = b"\xff\xe1"
_ORIENTATION, _SHORT = 0x0112, 3


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The same JPEG file with an EXIF block of this orientation (1 to 8).

    Raises ValueError if the bytes are not a JPEG file or the number is out of range.
    """
    if not jpeg.startswith(_START_OF_IMAGE):
        raise ValueError("these bytes are no JPEG file")
    if not 1 <= orientation <= 8:
        raise ValueError(f"EXIF knows the orientations 1 to 8, not {orientation}")
    # TIFF, big endian: header, one directory of one entry (its value left-aligned in four bytes), no next directory.
    tiff = struct.pack(">2sHI", b"MM", 42, 8) + struct.pack(">HHHIHHI", 1, _ORIENTATION, _SHORT, 1, orientation, 0, 0)
    block = b"Exif\0\0" + tiff
    return _START_OF_IMAGE + _APP1 + struct.pack(">H", len(block) + 2) + block + jpeg[2:]
