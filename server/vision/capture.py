"""When a picture was taken, from its EXIF block."""

from __future__ import annotations

import re
import struct
from datetime import datetime

_EXIF = 0x8769  # in the first directory: where the directory of the exposure is
_TIMES = ((0x9003, 0x9011), (0x9004, 0x9012))  # taken, digitised; each with the tag of its offset from UTC
_ASCII = 2
_LONGEST = 1000  # maximum number of directory entries read
_LONGEST_TEXT = 64
_CLOCK = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)", re.ASCII)
_OFFSET = re.compile(r"[+-](?:0\d|1[0-4]):[0-5]\d")


def capture_time(exif: bytes) -> str:
    """ISO 8601: the clock's time at the place, with the zone's offset if that is known: "2024-01-31T14:25:30+01:00".
    Empty if the block, with or without its prefix "Exif", says nothing, or nothing possible."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return ""
    try:
        (first,) = struct.unpack_from(order + "L", exif, 4)
        where = _directory(exif, order, first).get(_EXIF)
        if where is None:
            return ""
        tags = _directory(exif, order, struct.unpack(order + "L", where[2])[0])
        for time, offset in _TIMES:
            taken = _time(_text(exif, order, tags.get(time)))
            if taken:
                zone = _text(exif, order, tags.get(offset)).strip().replace("Z", "+00:00")
                return taken + (zone if _OFFSET.fullmatch(zone) else "")
    except struct.error:  # truncated
        return ""
    return ""


_Entry = tuple[int, int, bytes]
"""Type, number of values, and the value or the offset of the values."""


def _directory(exif: bytes, order: str, at: int) -> dict[int, _Entry]:
    (count,) = struct.unpack_from(order + "H", exif, at)
    entries: dict[int, _Entry] = {}
    for place in range(at + 2, at + 2 + 12 * min(count, _LONGEST), 12):
        tag, kind, number, value = struct.unpack_from(order + "HHL4s", exif, place)
        entries.setdefault(tag, (kind, number, value))
    return entries


def _text(exif: bytes, order: str, entry: _Entry | None) -> str:
    if entry is None or entry[0] != _ASCII:
        return ""
    _, length, value = entry
    if length > 4:
        (at,) = struct.unpack(order + "L", value)
        value = exif[at : at + min(length, _LONGEST_TEXT)]
        if len(value) < min(length, _LONGEST_TEXT):  # truncated: half a time is another time
            return ""
    return value[:length].split(b"\0")[0].decode("ascii", "replace")


def _time(text: str) -> str:
    """EXIF's "2024:01:31 14:25:30" as ISO 8601; empty if it is no time, as where a camera's clock was not set."""
    parts = _CLOCK.fullmatch(text.strip())
    try:
        time = datetime.fromisoformat("{}-{}-{}T{}:{}:{}".format(*parts.groups())) if parts else datetime.min
    except ValueError:
        return ""
    return time.isoformat() if time.year > _BEFORE_CAMERAS else ""


_BEFORE_CAMERAS = 1800
