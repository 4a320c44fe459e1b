"""Cached thumbnails and crops. Only a few sizes are kept; sizes in between are quickly made from them.

So a client that requests every possible size can't fill the cache.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

from facewire.server.albums.file_cache import FileCache
from facewire.server.albums.limits import AlbumLimits
from facewire.server.albums.pictures import face_crop, look_at, thumbnail
from facewire.server.gallery.records import Box
from facewire.server.vision.decoding.decoder import Decoder

PHOTO_SIZES = (320, 1024, 2048, 4096)  # for a tile, a window, a screen, and the largest size allowed
FACE_SIZES = (320, 1024)

_OURS = AlbumLimits()  # for our own renditions, independent of the limits for uploads

Original = Callable[[], bytes]


class Renditions:
    """Thread-safe. `original` is called if the original's bytes are needed; its errors are passed on."""

    def __init__(self, cache: FileCache, decoder: Decoder, limits: AlbumLimits) -> None:
        self._cache = cache
        self._decoder = decoder
        self._limits = limits

    def photo(self, sha256: str, size: int, original: Original) -> tuple[bytes, int, int]:
        """An upright JPEG whose longer side is at most `size` pixels, its width and height. Raises InvalidImage."""
        kept = _at_least(size, PHOTO_SIZES)
        name = f"photo-{kept}.jpg"
        data = self._kept(sha256, name)
        if data is None:
            data = thumbnail(self._decoder, original(), self._limits, kept)[0]
            self._cache.put(sha256, name, data)
        header = look_at(self._decoder, data, _OURS)
        if max(header.width, header.height) <= size:
            return data, header.width, header.height
        return thumbnail(self._decoder, data, _OURS, size)

    def face(self, sha256: str, box: Box, shown: tuple[int, int], size: int, original: Original) -> bytes:
        """A square JPEG, `size` wide, around `box`; see `face_crop`. Raises InvalidImage."""
        kept = _at_least(size, FACE_SIZES)
        place = hashlib.blake2s(struct.pack("<4d", *box), digest_size=8).hexdigest()
        name = f"face-{place}-{kept}.jpg"
        data = self._kept(sha256, name)
        if data is None:
            data = face_crop(self._decoder, original(), self._limits, box, shown, kept)
            self._cache.put(sha256, name, data)
        return data if size == kept else thumbnail(self._decoder, data, _OURS, size)[0]

    def _kept(self, sha256: str, name: str) -> bytes | None:
        """The cached bytes; None if missing or damaged by a crash of the machine."""
        data = self._cache.get(sha256, name)
        return data if data is not None and _is_whole(data) else None


def _at_least(size: int, sizes: tuple[int, ...]) -> int:
    return next(each for each in sizes if each >= size)


def _is_whole(jpeg: bytes) -> bool:
    return jpeg.startswith(b"\xff\xd8") and jpeg.endswith(b"\xff\xd9")
