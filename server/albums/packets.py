"""The XMP packets in picture files, and copies of JPEGs with another one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from facewire.protocol.albums.adding import LARGEST_SIDECAR
from facewire.protocol.jpeg import SCAN, segments

APP1 = 0xE1
MAIN = b"http://ns.adobe.com/xap/1.0/\0"
EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_GUID = 32  # bytes; then the whole length and this part's offset, 4 bytes each
_BEGIN, _END = b"<x:xmpmeta", b"</x:xmpmeta>"
_MOST = 4  # packets looked at in one file


def is_sidecar(name: str) -> bool:
    """Is a file of this name XMP beside a picture?"""
    return name.lower().endswith(".xmp")


def sidecar_names(name: str) -> tuple[str, str]:
    """What the sidecars of a file may be called: most programs' NAME.jpg.xmp, and Adobe's NAME.xmp."""
    return f"{name}.xmp", f"{_SUFFIX.sub('', name)}.xmp"


_SUFFIX = re.compile(r"\.[^./]*$")


def packets(data: bytes) -> list[bytes]:
    """The packets of a picture file, a few at most.

    A JPEG's are in segments of their own, perhaps continued in others. In other files they lie in one piece, made to be
    found by programs that don't know the format (XMP Specification, part 3).
    """
    if data.startswith(b"\xff\xd8\xff"):
        return list(_of_jpeg(data))[:_MOST]
    return list(_scanned(data))


def _of_jpeg(data: bytes) -> Iterator[bytes]:
    main = b""
    parts: dict[bytes, bytearray] = {}
    for segment in segments(data):
        if segment.marker == SCAN:
            break
        if segment.marker != APP1:
            continue
        body = data[segment.start + 4 : segment.end]
        if body.startswith(MAIN):
            main = main or body[len(MAIN) :]
        elif body.startswith(EXTENSION):
            _continue(body[len(EXTENSION) :], main, parts)
    if main:
        yield main
    yield from map(bytes, parts.values())


def _continue(body: bytes, main: bytes, parts: dict[bytes, bytearray]) -> None:
    """Puts a part of extended XMP in its place, if the main packet names it."""
    guid, at = body[:_GUID], _GUID
    whole, offset = (int.from_bytes(body[at + n : at + n + 4], "big") for n in (0, 4))
    part = body[at + 8 :]
    if guid in main and len(guid) == _GUID and offset + len(part) <= whole <= LARGEST_SIDECAR and len(parts) < _MOST:
        held = parts.setdefault(guid, bytearray(whole))
        held[offset : offset + len(part)] = part


def _scanned(data: bytes) -> Iterator[bytes]:
    at = 0
    for _ in range(_MOST):
        begin = data.find(_BEGIN, at)
        if begin < 0:
            return
        end = data.find(_END, begin, begin + LARGEST_SIDECAR)
        if end < 0:
            return
        at = end + len(_END)
        yield data[begin:at]
