"""The structure of a WebP file, as far as it must be checked before libwebp."""

from __future__ import annotations

_PIXELS = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANMF")  # the picture is incomplete without these chunks
_MENDED = 1024 * 1024  # maximum of missing bytes to make up for: no metadata is larger


def webp_size(data: bytes) -> tuple[int, int]:
    """The declared width and height; (0, 0) if the file is truncated before them. Pillow's reader allocates memory for
    them as soon as it is opened."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF


def webp_mended(data: bytes) -> bytes:
    """A WebP truncated after its pixels, zero-filled to its full length; any other file unchanged.

    What follows the pixels is metadata, or a padding byte. libwebp rejects truncated files.
    """
    if 8 + int.from_bytes(data[4:8], "little") <= len(data):
        return data
    at = 12
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size
        if at > len(data) and kind in _PIXELS:
            return data
        at += size % 2
    if at - len(data) > _MENDED:
        return data
    whole = data.ljust(at, b"\0")
    return whole[:4] + (len(whole) - 8).to_bytes(4, "little") + whole[8:]
