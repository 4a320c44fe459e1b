"""What a child does with a file: its structure, its header, its pixels. Only children import this."""

from __future__ import annotations

from dataclasses import dataclass

from facewire.protocol.formats import format_of
from facewire.server.vision.cutoff import JPEG_END
from facewire.server.vision.decoding import guards
from facewire.server.vision.image import (
    Header,
    ImageLimits,
    Photo,
    Room,
    check_pixels,
    decode_photo,
    read_header,
    reduction,
)
from facewire.server.vision.webp import webp_size

_WHOLE = 1 << 31  # no picture has a side of twice that, so none is reduced

_BYTES_A_PIXEL = 12
"""What decoding takes besides the result, where we don't know; the child's limit doubles it."""

_LOOKED_FOR_ITS_END = 4
"""Copies of the pixels, where a JPEG does not end as it should and is decoded more than once to see what is missing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What decoding a picture will take: `result`: bytes of its pixels at most, `memory`: bytes besides them.
    `cleared`: its decoder may leave pixels unwritten where the data are damaged."""

    data: bytes
    pixels: int
    result: int
    memory: int
    cleared: bool


def look(data: bytes, limits: ImageLimits) -> Header:
    """A header as shown. Raises InvalidImage."""
    return read_header(guards.checked(data).data, limits)


def before_looking(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """Bytes that reading the header takes, and pixels, for a file whose reader makes room for all of them then (WebP);
    0, 0 for others. Raises InvalidImage for more pixels than the limit."""
    form = format_of(data)
    if form is None or form.key != "WEBP":
        return 0, 0
    width, height = webp_size(data)
    check_pixels(Header(form.key, width, height), limits)
    return width * height * _BYTES_A_PIXEL, width * height


def plan(data: bytes, limits: ImageLimits, enough: int | None) -> Plan:
    """What `decode` will take. Raises InvalidImage for what need not be tried."""
    safe = guards.checked(data)
    header = read_header(safe.data, limits)
    pixels = header.width * header.height
    factor = reduction(header, enough or _WHOLE)
    result = 3 * -(-header.width // factor) * -(-header.height // factor)
    if header.format == "JPEG":  # decoded row by row, unless it comes in several scans
        copies = 1 if safe.data.endswith(JPEG_END) else _LOOKED_FOR_ITS_END
        return Plan(safe.data, pixels, result, safe.coefficients + copies * result, cleared=False)
    return Plan(safe.data, pixels, result, pixels * _BYTES_A_PIXEL, cleared=True)


def decode(plan: Plan, limits: ImageLimits, enough: int | None, into: Room) -> Photo:
    """The pixels, as `server.vision.image.decode_photo`. Raises InvalidImage."""
    return decode_photo(plan.data, limits, enough or _WHOLE, into)
