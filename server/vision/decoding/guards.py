"""Checks a file's structure before a decoder sees it.

Not whether it is complete, which decoders know better, but for what has hurt decoders: lengths far beyond the file,
unbounded work, and parts that no picture needs, which are removed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from facewire.server.errors import InvalidImage
from facewire.server.vision.image import MEGAPIXEL

MOST_SCANS = 100
"""Of a progressive JPEG. libjpeg writes 10, encoders that minimise file size about 20; each scan, even one of 40 bytes,
visits the whole picture: at least 5 ms for 100 megapixels."""

MOST_SCANNED = 3000 * MEGAPIXEL
"""Scans times pixels: 30 scans of the largest picture; about 10 seconds on one core."""

MOST_PARTS = 20_000
"""Segments before a JPEG's pixels, chunks of a PNG or WebP, entries of a TIFF's directory: 32 MiB of PNG in libpng's
usual 8 KiB chunks are 4,096."""

MOST_MISSING = 64 * 1024 * 1024
"""Bytes that a part of a truncated file may claim beyond the file's end: twice the largest file. A decoder that
allocates them can afford it."""

MOST_STRIPS = 200_000
"""Of a TIFF: one for each row of the tallest plausible picture."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The data to give to a decoder, and the bytes it will need besides the pixels, if known."""

    data: bytes
    coefficients: int = 0


def checked(data: bytes) -> Checked:
    """Checks a file's structure by format; other formats, and truncated files, are passed on unchanged. Raises
    InvalidImage."""
    try:
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if data.startswith(_PNG):
            return Checked(_png(data))
        if data.startswith((b"GIF87a", b"GIF89a")):
            return Checked(_first_frame_of_gif(data))
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return Checked(_first_frame_of_webp(data))
        if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
            _check_tiff(data)
    except (struct.error, IndexError, OverflowError):  # a field to be checked lies beyond the end, perhaps far
        return Checked(data)
    return Checked(data)


def _check_end(data: bytes, end: int) -> None:
    """Raises InvalidImage for a part that ends further beyond the file than MOST_MISSING."""
    if end > len(data) + MOST_MISSING:
        raise InvalidImage("the picture is damaged or hostile: it claims more bytes than the file has")


def _too_many() -> InvalidImage:
    return InvalidImage("the picture is damaged or hostile: it has too many parts")


# ------------------------------------------------------------------------------------------------------ JPEG

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_ALONE = frozenset([0x00, 0x01, *range(0xD0, 0xD8), _SOI])  # markers without a length
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset([0xC2, 0xC6, 0xCA, 0xCE])
_NEXT_MARKER = re.compile(rb"\xff+[\x02-\xcf\xd8-\xfe]")


@dataclass(frozen=True, slots=True)
class _Frame:
    marker: int
    pixels: int
    components: int
    samples: float  # per pixel, of all components together


def _jpeg(data: bytes) -> Checked:
    frame = None
    for marker, at in _segments(data):
        if marker in _FRAMES:
            frame = _frame(marker, data, at)
        elif marker == _SOS:
            if frame is None or (frame.marker not in _PROGRESSIVE and data[at + 4] == frame.components):
                return Checked(data)  # one scan has everything, and what follows is not read
            _check_scans(data, at, frame)
            return Checked(data, round(2 * frame.pixels * frame.samples))
    return Checked(data)


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Markers and their offsets, up to the first scan."""
    at = 2
    for _ in range(MOST_PARTS):
        at = data.find(b"\xff", at)  # skips what lies between, as decoders do
        if at < 0:
            return
        while data[at + 1] == 0xFF:
            at += 1
        marker = data[at + 1]
        if marker == _EOI:
            return
        if marker in _ALONE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        yield marker, at
        if marker == _SOS:
            return
        at += 2 + max(2, length)
    raise _too_many()


def _frame(marker: int, data: bytes, at: int) -> _Frame:
    height, width, components = struct.unpack_from(">HHB", data, at + 5)
    sampling = [data[at + 11 + 3 * number] for number in range(components)]
    areas = [(factors >> 4) * (factors & 15) for factors in sampling]
    largest = max((f >> 4 for f in sampling), default=1) * max((f & 15 for f in sampling), default=1)
    return _Frame(marker, width * height, components, sum(areas) / max(1, largest))


def _check_scans(data: bytes, at: int, frame: _Frame) -> None:
    allowed = min(MOST_SCANS, MOST_SCANNED // max(1, frame.pixels))
    # Fast, and never too low: these two bytes can't occur inside a scan's data, but may elsewhere.
    if data.count(b"\xff\xda", at) <= allowed:
        return
    scans = _scans(data, at, allowed)
    if scans > allowed:
        raise InvalidImage(f"the picture is damaged or hostile: it has more than {allowed} progressive scans")


def _scans(data: bytes, at: int, enough: int) -> int:
    """The number of scans from `at` up to the picture's end; stops counting at `enough` + 1."""
    scans = 0
    while scans <= enough:
        found = _NEXT_MARKER.search(data, at)
        if found is None or data[found.end() - 1] == _EOI:
            break
        at = found.end()
        if data[at - 1] != _SOI:
            scans += data[at - 1] == _SOS
            at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return scans


# ------------------------------------------------------------------------------------------------------- PNG

_PNG = b"\x89PNG\r\n\x1a\n"
_NEEDED = frozenset([b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"])
"""Chunks with the pixels and their orientation. The rest is animation, or text and profiles, which may decompress to
any size."""


def _png(data: bytes) -> bytes:
    kept, at, dropped = [data[:8]], 8, False
    for _ in range(MOST_PARTS):
        if at + 8 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        _check_end(data, end)
        if kind in _NEEDED:
            kept.append(data[at:end])
        else:
            dropped = True
        at = end
        if kind == b"IEND":
            break
    else:
        raise _too_many()
    return b"".join(kept) if dropped else data


# ------------------------------------------------------------------------------------------------------- GIF


def _first_frame_of_gif(data: bytes) -> bytes:
    at = 13 + _palette(data[10])
    while True:
        kind = data[at]
        if kind == 0x21:  # an extension: transparency, comments, repetition
            at = _behind_blocks(data, at + 2)
        elif kind == 0x2C:
            end = _behind_blocks(data, at + 11 + _palette(data[at + 9]))
            return data[:end] + b"\x3b"
        else:
            return data


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _behind_blocks(data: bytes, at: int) -> int:
    """The offset after a chain of length-prefixed blocks, which ends with an empty one."""
    while data[at]:
        at += data[at] + 1
    return at + 1


# ------------------------------------------------------------------------------------------------------ WebP

_STILL = frozenset([b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"EXIF", b"ANIM"])


def _first_frame_of_webp(data: bytes) -> bytes:
    (size,) = struct.unpack_from("<I", data, 4)
    _check_end(data, size + 8)
    kept, at, frames = [data[:12]], 12, 0
    for _ in range(MOST_PARTS):
        if at + 8 > min(size + 8, len(data)):
            break
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length + (length & 1)
        _check_end(data, end)
        frames += kind == b"ANMF"
        if kind in _STILL or (kind == b"ANMF" and frames == 1):
            kept.append(data[at:end])
        at = end
    else:
        raise _too_many()
    still = b"".join(kept)
    return data if len(still) == len(data) else still[:4] + struct.pack("<I", len(still) - 8) + still[8:]


# ------------------------------------------------------------------------------------------------------ TIFF

_SIZE_OF = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_LENGTH_FORMATS = {3: "H", 4: "I", 16: "Q"}
_LENGTHS = (279, 325)  # tags: bytes of each strip, of each tile


def _check_tiff(data: bytes) -> None:
    """Checks the first directory, which is the picture shown."""
    order = "<" if data.startswith(b"II") else ">"
    if data[2:4] in (b"+\0", b"\0+"):  # BigTIFF, with 8-byte offsets
        first, number, entry, inline = 8, struct.Struct(order + "Q"), struct.Struct(order + "HHQ8s"), 8
        count_of = number
    else:
        first, number, entry, inline = 4, struct.Struct(order + "I"), struct.Struct(order + "HHI4s"), 4
        count_of = struct.Struct(order + "H")
    (at,) = number.unpack_from(data, first)
    (entries,) = count_of.unpack_from(data, at)
    if entries > MOST_PARTS:
        raise _too_many()
    for place in range(entries):
        tag, kind, count, value = entry.unpack_from(data, at + count_of.size + place * entry.size)
        size = _SIZE_OF.get(kind, 1) * count
        _check_end(data, size)
        if tag in _LENGTHS and kind in _LENGTH_FORMATS:
            if count > MOST_STRIPS:
                raise _too_many()
            (where,) = number.unpack(value)
            lengths = struct.unpack_from(
                f"{order}{count}{_LENGTH_FORMATS[kind]}", value if size <= inline else data[where : where + size]
            )
            _check_end(data, max(lengths, default=0))
