"""Files that end too early: is all of the picture there, and if not, what share of it is missing?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.jpeg import END, PROGRESSIVE, SCAN, segments

Pixels = NDArray[np.uint8]

TOLERATED = 0.01
"""The share of a picture that may be missing: a few rows of pixels at an edge, which no viewer refuses a photo for."""

_BLOCK = 16  # pixels: a JPEG is coded in squares of 8 or 16
JPEG_END = b"\xff\xd9"
_JUNK = b"\x5a\xa5\x33\xcc" * 64


@dataclass(frozen=True, slots=True)
class JpegEnd:
    """Where a JPEG's last scan ends (`at`), whether END follows, how many scans there are, and whether the brightness
    is there to its last bit: progressive files begin with a coarse picture."""

    at: int
    marked: bool
    scans: int
    fine: bool


def jpeg_end(data: bytes) -> JpegEnd:
    """The end of a JPEG, of however much is there of it."""
    progressive, fine, scans, after = False, False, 0, 2
    for segment in segments(data):
        if segment.marker == END:
            return JpegEnd(segment.start, True, scans, fine or not progressive)
        progressive |= segment.marker == PROGRESSIVE
        if segment.marker == SCAN:
            scans += 1
            # It ends with: the first and the last coefficient, and how many bits came before and are still to come
            first, last, bits = data[segment.end - 3 : segment.end]
            fine |= first > 0 and last == 63 and bits & 0x0F == 0
        after = segment.end
    # Behind the last whole segment: pixels, if that was a scan, or else a segment that is cut off. A file half copied
    # may end in zeros, which would be read as pixels; then comes, perhaps, the first of two bytes.
    pixels = len(data.rstrip(b"\0").rstrip(b"\xff"))
    return JpegEnd(max(after, pixels) if scans else after, False, scans, fine or not progressive)


def jpeg_missing(data: bytes, end: JpegEnd, decode: Callable[[bytes], Pixels | None], scale: int) -> float | None:
    """The share of a JPEG that is not in the file, 0 to 1; None where nothing can be decoded.

    Where pixels are missing libjpeg fills the rest with grey, and says nothing. So the file is decoded twice: as it is,
    and with a few wrong bytes behind it. These are passed over where the picture was complete before them; where it was
    not, they show as the first pixels that are missing.
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
    # Where blocks meet, colours run over the edge by a pixel: count from the next block's beginning.
    half = max(1, block // 2)
    top = min(height - 1, -(-int(differ.any(axis=1).argmax()) // half) * half)
    columns = differ[top : top + block].any(axis=0)
    left = int(columns.argmax()) if columns.any() else 0
    below = max(0, height - top - block) * width
    return (below + min(block, height - top) * (width - left)) / (height * width)


def container_missing(data: bytes) -> float:
    """The share that is missing of a file that says how long it is, in its head (WebP) or its boxes (HEIF, AVIF, JPEG
    2000); 0 where all is there, or nothing can be said of the picture's share."""
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


def told(missing: float) -> str:
    """What is said of a picture of which that share is missing."""
    percent = max(1, round(100 * missing))
    return f"the file is cut off or damaged: about {percent} % of the picture is missing; copy it again"
