"""All limits of the albums, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass

from facewire.protocol.settings import GIBIBYTE, GIBIBYTES, MEBIBYTE, setting
from facewire.server.vision.image import MEGAPIXEL


@dataclass(frozen=True, slots=True)
class AlbumLimits:
    """Counts, bytes and pixels. Requests that exceed one are refused with a message that names it."""

    albums: int = setting(200, flag="--max-albums")
    photos: int = setting(  # more would have too many faces to cluster in half an hour
        200_000, flag="--max-album-photos", help="photos in an album"
    )
    album_bytes: int = setting(200 * GIBIBYTE, unit=GIBIBYTES, flag="--max-album-gb", help="GiB of photos in an album")
    photo_bytes: int = 32 * MEBIBYTE - 64 * 1024  # so that a request or answer with a photo fits a frame
    photo_pixels: int = 100 * MEGAPIXEL
    zip_bytes: int = setting(
        8 * GIBIBYTE, unit=GIBIBYTES, flag="--max-zip-gb",
        help="GiB of a ZIP that is added; it may unpack to four times that",
    )  # fmt: skip
    zip_entries: int = 100_000
    zip_expanded: int = 32 * GIBIBYTE
    zip_ratio: int = 200  # uncompressed to compressed size, of files over 1 MiB; photographs are near 1
    renditions_bytes: int = 2 * GIBIBYTE  # cached thumbnails and crops of all albums, about 60,000
    uploads: int = 16  # ZIPs being uploaded at a time
    exports: int = 64  # prepared within the last day; the oldest make room
    imports: int = 64  # folders waiting to be imported
    samples: int = 64  # pictures in one search
    skipped_listed: int = 1000
