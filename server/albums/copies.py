"""Copies of JPEGs whose XMP says who is in them, made without touching a pixel.

Only the first segments of the file change, so a copy is some bytes of its own and then the rest of the original. What
else the photo's XMP says is kept.
"""

from __future__ import annotations

import xml.parsers.expat
from dataclasses import dataclass
from pathlib import Path

from facewire.protocol.jpeg import SCAN, Segment, segments
from facewire.server.albums import xmp
from facewire.server.albums.crc import joined, without_beginning
from facewire.server.albums.packets import APP1, EXTENSION, MAIN

_APP0 = 0xE0
_EXIF = b"Exif\0"
_FURTHER = b"MPF\0"
_MOST = 0xFFFF - 2 - len(MAIN)
"""Bytes of a packet in one segment. More would have to be continued in others, which few programs read."""

_HEADER = 1024 * 1024
"""Bytes of a file in which its picture has usually begun."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A file that begins with `head`, followed by the original from byte `skipped` on."""

    head: bytes
    skipped: int
    size: int
    crc32: int


def copy_with(original: Path, size: int, crc32: int, sidecar: bytes) -> Copy | None:
    """The JPEG `original`, of that size and checksum, with what `sidecar` says of people; None if that can't be written
    into it without losing something else. Raises OSError."""
    with original.open("rb") as file:
        data = file.read(_HEADER)
        if not data.startswith(b"\xff\xd8\xff"):
            return None
        before = _before_picture(data)
        if before is None:
            data += file.read()
            before = _before_picture(data)
    if before is None:
        return None
    found = [data[one.start + 4 : one.end] for one in before if one.marker == APP1]
    theirs = [body[len(MAIN) :] for body in found if body.startswith(MAIN)]
    if len(theirs) > 1 or any(body.startswith(EXTENSION) for body in found) or _would_move_pictures(data, before):
        return None
    merged = _merged(theirs, sidecar)
    if merged is None or len(merged) > _MOST:
        return None
    head, skipped = _rewritten(data, before, merged)
    rest = without_beginning(crc32, data[:skipped], size - skipped)
    return Copy(head, skipped, len(head) + size - skipped, joined(head, rest, size - skipped))


def _before_picture(data: bytes) -> list[Segment] | None:
    """The segments before the pixels; None if these don't begin here."""
    found: list[Segment] = []
    for segment in segments(data):
        if segment.marker == SCAN:
            return found
        found.append(segment)
    return None


def _would_move_pictures(data: bytes, before: list[Segment]) -> bool:
    """Is there XMP behind a list of further pictures (a gain map, a depth map)? That counts bytes from itself on."""
    bodies = [data[one.start + 4 : one.end] for one in before]
    lists = [place for place, body in enumerate(bodies) if body.startswith(_FURTHER)]
    return bool(lists) and any(body.startswith(MAIN) for body in bodies[lists[0] :])


def _merged(theirs: list[bytes], sidecar: bytes) -> bytes | None:
    try:
        return xmp.with_people(theirs[0], sidecar) if theirs else xmp.as_packet(sidecar)
    except (xmp.Refused, xml.parsers.expat.ExpatError, ValueError, LookupError):
        return None


def _rewritten(data: bytes, before: list[Segment], packet: bytes) -> tuple[bytes, int]:
    """The beginning of the copy, and how much of the original it replaces: the packet follows JFIF and EXIF, which come
    first."""
    ours = b"\xff\xe1" + (2 + len(MAIN) + len(packet)).to_bytes(2, "big") + MAIN + packet
    start, *others = before  # the first is the marker that begins a JPEG
    parts, cut, placed = [data[start.start : start.end]], start.end, False
    reached = list(parts)
    for segment in others:
        body = data[segment.start + 4 : segment.end]
        is_first = segment.marker == _APP0 or (segment.marker == APP1 and body.startswith(_EXIF))
        if not placed and not is_first:
            parts.append(ours)
            placed, cut, reached = True, segment.start, list(parts)
        if segment.marker == APP1 and body.startswith(MAIN):
            cut, reached = segment.end, list(parts)
        else:
            parts.append(data[segment.start : segment.end])
    if not placed:
        reached, cut = [*parts, ours], before[-1].end
    return b"".join(reached), cut
