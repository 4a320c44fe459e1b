"""The albums' settings, and all their limits in one frozen object."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path

from facewire.protocol.arguments import read
from facewire.protocol.settings import GIBIBYTE, GIBIBYTES, MEBIBYTE, MEBIBYTES, setting
from facewire.server.gallery.address import local_path
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
    video_bytes: int = setting(
        4096 * MEBIBYTE, unit=MEBIBYTES, flag="--max-video-mb", help="MiB of a video in an album, sent in pieces"
    )
    zip_bytes: int = setting(
        8 * GIBIBYTE, unit=GIBIBYTES, flag="--max-zip-gb",
        help="GiB of a ZIP that is added; it may unpack to four times that",
    )  # fmt: skip
    zip_entries: int = 100_000
    zip_expanded: int = 32 * GIBIBYTE
    zip_ratio: int = 200  # uncompressed to compressed size, of files over 1 MiB; photographs are near 1
    renditions_bytes: int = 2 * GIBIBYTE  # cached thumbnails and crops of all albums, about 60,000
    uploads: int = 64  # ZIPs and videos being uploaded at a time
    exports: int = 64  # prepared within the last day; the oldest make room
    imports: int = 64  # folders waiting to be imported
    drawn_faces: int = 500  # drawn by hand in one photo
    samples: int = 64  # pictures in one search
    skipped_listed: int = 1000

    def against_video(self, size: int) -> str:
        """Why a video of that many bytes is refused; empty if it isn't."""
        return f"the video has {size} bytes, the limit is {self.video_bytes}" if size > self.video_bytes else ""


_FRAME_OVERHEAD = 64 * 1024  # around the photo in a request or answer: names, numbers, msgpack


@dataclass(frozen=True, slots=True)
class AlbumSettings:
    """The folder of the albums, the folder that they may import from (None: no imports), and their limits.

    `required`: the folder was given explicitly, so a server that can't use it must not start; `absent`: no albums.
    """

    root: Path = setting(
        flag="--albums", metavar="DIR",
        help="where albums are kept (default: beside the database, facialdb.db has facialdb.albums)",
    )  # fmt: skip
    import_root: Path | None = setting(
        None, flag="--album-import-root", metavar="DIR",
        help="let clients import folders of this machine that lie below DIR (default: none)",
    )  # fmt: skip
    limits: AlbumLimits = field(default_factory=AlbumLimits)
    required: bool = True
    clip: Path | None = setting(
        None, flag="--clip", metavar="DIR",
        help="search photos by what they show, with the CLIP model in DIR (docs/text-search.md; default: none)",
    )  # fmt: skip
    absent: bool = setting(
        False, flag="--no-albums", help="keep no albums; of several servers with one gallery, one alone keeps them"
    )


def album_settings(args: argparse.Namespace, max_frame: int, max_pixels: int) -> AlbumSettings:
    """Settings from parsed flags, which include `--db`. A photo must fit a frame of `max_frame` bytes."""
    limits = read(AlbumLimits, args, photo_bytes=max(1, max_frame - _FRAME_OVERHEAD), photo_pixels=max_pixels)
    limits = replace(limits, zip_expanded=4 * limits.zip_bytes)
    root = args.albums or local_path(args.db).with_suffix(".albums")
    return read(AlbumSettings, args, root=root, limits=limits, required=args.albums is not None)
