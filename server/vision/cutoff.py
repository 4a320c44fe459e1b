"""Detects truncated files, and estimates what share of the picture is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.jpeg import END, PROGRESSIVE, SCAN, segments

Pixels = NDArray[np.uint8]

TOLERATED = 0.01
"""Share of a picture that may be missing: a few rows of pixels at an edge, for which no viewer refuses a photo."""

_BLOCK = 16  # pixels: a JPEG is coded in blocks of 8 or 16
JPEG_END = b"\xff\xd9"
_JUNK = b"\x5a\xa5\x33\xcc" * 64


@dataclass(frozen=True, slots=True)
class JpegEnd:
    """Where a JPEG's last scan ends (`at`), whether END follows (`marked`), the number of scans, and whether luminance
    is complete to its last bit (`fine`): progressive files start with a coarse picture."""

    at: int
    marked: bool
    scans: int
    fine: bool


def jpeg_end(data: bytes) -> JpegEnd:
    """Finds the end of a JPEG, even if it is truncated."""
    progressive, fine, scans, after = False, False, 0, 2
    for segment in segments(data):
        if segment.marker == END:
            return JpegEnd(segment.start, True, scans, fine or not progressive)
        progressive |= segment.marker == PROGRESSIVE
        if segment.marker == SCAN:
            scans += 1
            # A scan header ends with the first and last coefficient, then the bits already sent and those still to
            # come.
            first, last, bits = data[segment.end - 3 : segment.end]
            fine |= first > 0 and last == 63 and bits & 0x0F == 0
        after = segment.end
    # After the last complete segment: pixels, if that was a scan, else a truncated segment. A partly copied file may
    # end in zeros, which would be decoded as pixels, and before them perhaps the first byte of a marker.
    pixels = len(data.rstrip(b"\0").rstrip(b"\xff"))
    return JpegEnd(max(after, pixels) if scans else after, False, scans, fine or not progressive)


def jpeg_missing(data: bytes, end: JpegEnd, decode: Callable[[bytes], Pixels | None], scale: int) -> float | None:
    """The share of a JPEG's pixels missing from the file, 0 to 1; None if nothing can be decoded.

    libjpeg fills missing pixels with grey, without an error. So the file is decoded twice: as it is, and with a few
    junk bytes appended. If the picture was complete they are ignored; otherwise they change the first missing pixels.
    """
    pixels = data[: end.at]
    one, other = decode(pixels + JPEG_END), decode(pixels + _JUNK + JPEG_END)
    if one is None or other is None:
        return None
    differ = (one != other).any(axis=2)
    if not differ.any():
        return 0.0
    height, width = int(differ.shape[0]), int(differ.shape[1])
    block = max(1, _BLOCK // scale)
    # Where blocks meet, colours bleed over the edge by a pixel: count from the start of the next block.
    half = max(1, block // 2)
    top = min(height - 1, -(-int(differ.any(axis=1).argmax()) // half) * half)
    columns = differ[top : top + block].any(axis=0)
    left = int(columns.argmax()) if columns.any() else 0
    below = max(0, height - top - block) * width
    return (below + min(block, height - top) * (width - left)) / (height * width)


def container_missing(data: bytes) -> float:
    """The missing share of a file that declares its length, in its header (WebP) or its boxes (HEIF, AVIF, JPEG 2000);
    0 if it is complete, or if the pixels' share is unknown."""
    if data[:4] == b"RIFF":
        return _missing(len(data), 8 + int.from_bytes(data[4:8], "little"))
    at = 0
    while at + 16 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:  # 0: to the end of the file
            return 0.0
        at += size
        if at > len(data):
            return _missing(len(data), at) if kind in (b"mdat", b"jp2c") else 0.0
    return 0.0


def _missing(there: int, claimed: int) -> float:
    return max(0, claimed - there) / max(1, claimed)


def missing_message(missing: float) -> str:
    """The error message for a picture with that share missing."""
    percent = max(1, round(100 * missing))
    return f"the file is cut off or damaged: about {percent} % of the picture is missing; copy it again"
