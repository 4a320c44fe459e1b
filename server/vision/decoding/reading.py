"""A child's processing of a file: structure, header, pixels. Only imported in child processes."""

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
from facewire.server.vision.readers import webp_size

_WHOLE = 1 << 31  # no picture has a side of twice that, so none is reduced

_BYTES_A_PIXEL = 12
"""Estimated memory for decoding, besides the result; the child's limit doubles it."""

_LOOKED_FOR_ITS_END = 4
"""Copies of the pixels for a JPEG that doesn't end properly and is decoded several times to find what is missing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A picture's decoding and its needs: `result`: maximum bytes of its pixels, `memory`: bytes besides them.
    `cleared`: memory must be zeroed, because the decoder may leave pixels unwritten if the data are damaged."""

    data: bytes
    pixels: int
    result: int
    memory: int
    cleared: bool


def look(data: bytes, limits: ImageLimits) -> Header:
    """The header, with the size as shown. Raises InvalidImage."""
    return read_header(guards.checked(data).data, limits)


def before_looking(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """(bytes needed to read the header, pixels) for a format whose reader allocates all pixels then (WebP); (0, 0) for
    others. Raises InvalidImage if the pixels exceed the limit."""
    form = format_of(data)
    if form is None or form.key != "WEBP":
        return 0, 0
    width, height = webp_size(data)
    check_pixels(Header(form.key, width, height), limits)
    return width * height * _BYTES_A_PIXEL, width * height


def plan(data: bytes, limits: ImageLimits, enough: int | None) -> Plan:
    """Plans what `decode` will need. Raises InvalidImage if the picture must not be decoded."""
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
