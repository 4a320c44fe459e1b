"""Every bound of the albums, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass

from facewire.protocol.settings import GIBIBYTES, setting
from facewire.server.vision.image import MEGAPIXEL

MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE


@dataclass(frozen=True, slots=True)
class AlbumLimits:
    """Counts, bytes and pixels. Whatever exceeds one is refused with a message that says which."""

    albums: int = setting(200, flag="--max-albums")
    photos: int = setting(  # more faces than can be clustered in half an hour
        200_000, flag="--max-album-photos", help="photos in an album"
    )
    album_bytes: int = setting(200 * GIBIBYTE, unit=GIBIBYTES, flag="--max-album-gb", help="GiB of photos in an album")
    photo_bytes: int = 32 * MEBIBYTE - 64 * 1024  # with its request or answer around it, it fits a frame
    photo_pixels: int = 100 * MEGAPIXEL
    zip_bytes: int = setting(
        8 * GIBIBYTE, unit=GIBIBYTES, flag="--max-zip-gb",
        help="GiB of a ZIP that is added; it may unpack to four times that",
    )  # fmt: skip
    zip_entries: int = 100_000
    zip_expanded: int = 32 * GIBIBYTE
    zip_ratio: int = 200  # expanded to packed, of a file over 1 MiB; photographs are near 1
    renditions_bytes: int = 2 * GIBIBYTE  # thumbnails and crops kept, of all albums: some 60,000
    uploads: int = 16  # ZIPs on their way at a time
    exports: int = 64  # prepared and not yet a day old; the oldest make room
    imports: int = 64  # folders waiting to be imported
    samples: int = 64  # pictures in one search
    skipped_listed: int = 1000
