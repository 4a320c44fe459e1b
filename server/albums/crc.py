"""CRC-32 of files that share bytes, without reading these bytes.

A checksum is linear over GF(2): appending n bytes to a file multiplies what is known of it by x^8n, so the checksum of
two parts follows from those of each and the length of the second (as zlib's crc32_combine, which Python lacks).
"""

from __future__ import annotations

import zlib

_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31  # polynomials are written with their lowest power in the highest bit
_BYTE = 1 << 23  # x^8


def joined(beginning: bytes, rest: int, size: int) -> int:
    """The checksum of `beginning` followed by `size` bytes whose checksum is `rest`."""
    return _after(zlib.crc32(beginning), size) ^ rest


def without_beginning(whole: int, beginning: bytes, size: int) -> int:
    """The checksum of the last `size` bytes of a file whose checksum is `whole`, and which begins with `beginning`."""
    return whole ^ _after(zlib.crc32(beginning), size)


def _after(crc: int, size: int) -> int:
    """`crc` times x^8size."""
    power, square = _ONE, _BYTE
    while size:
        if size & 1:
            power = _times(power, square)
        square = _times(square, square)
        size >>= 1
    return _times(crc, power)


def _times(one: int, other: int) -> int:
    """The product modulo CRC-32's polynomial."""
    product = 0
    for _ in range(32):
        if other & _ONE:
            product ^= one
        other = (other << 1) & 0xFFFFFFFF
        one = (one >> 1) ^ (_POLYNOMIAL if one & 1 else 0)
    return product
