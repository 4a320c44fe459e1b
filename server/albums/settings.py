"""The flags of the albums."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from facewire.server.albums.limits import GIBIBYTE, AlbumLimits

_FRAME_OVERHEAD = 64 * 1024  # of a photo's request or answer: names, numbers, msgpack


@dataclass(frozen=True, slots=True)
class AlbumSettings:
    """Where albums are kept, what folder they may import from (none, where None), and what they may cost.

    `required`: the folder was named, so a server that can't use it must not start.
    """

    root: Path
    import_root: Path | None = None
    limits: AlbumLimits = field(default_factory=AlbumLimits)
    required: bool = True


def add_album_arguments(parser: argparse.ArgumentParser, positive: Callable[[str], int]) -> None:
    """The flags; `positive` reads a whole number from 1 on."""
    limits = AlbumLimits()
    group = parser.add_argument_group("albums")
    group.add_argument(
        "--albums", type=Path, default=None, metavar="DIR",
        help="where albums are kept (default: beside the database, facialdb.db has facialdb.albums)",
    )  # fmt: skip
    group.add_argument(
        "--album-import-root", type=Path, default=None, metavar="DIR",
        help="let clients import folders of this machine that lie below DIR (default: none)",
    )  # fmt: skip
    group.add_argument("--max-albums", type=positive, default=limits.albums, metavar="N", help="(default: %(default)s)")
    group.add_argument(
        "--max-album-photos", type=positive, default=limits.photos, metavar="N",
        help="photos in an album (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--max-album-gb", type=positive, default=limits.album_bytes // GIBIBYTE, metavar="N",
        help="GiB of photos in an album (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--max-zip-gb", type=positive, default=limits.zip_bytes // GIBIBYTE, metavar="N",
        help="GiB of a ZIP that is added; it may unpack to four times that (default: %(default)s)",
    )  # fmt: skip


def album_settings(args: argparse.Namespace, max_frame: int, max_pixels: int) -> AlbumSettings:
    """What `add_album_arguments` parsed, with `--db`; a photo has to fit a frame of `max_frame` bytes."""
    defaults = AlbumLimits()
    return AlbumSettings(
        root=args.albums or args.db.with_suffix(".albums"),
        import_root=args.album_import_root,
        required=args.albums is not None,
        limits=AlbumLimits(
            albums=args.max_albums,
            photos=args.max_album_photos,
            album_bytes=args.max_album_gb * GIBIBYTE,
            photo_bytes=max(1, max_frame - _FRAME_OVERHEAD),
            photo_pixels=max_pixels,
            zip_bytes=args.max_zip_gb * GIBIBYTE,
            zip_expanded=4 * args.max_zip_gb * GIBIBYTE,
            zip_entries=defaults.zip_entries,
        ),
    )
