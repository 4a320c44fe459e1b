"""The albums' settings."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path

from facewire.protocol.arguments import read
from facewire.protocol.settings import setting
from facewire.server.albums.limits import AlbumLimits

_FRAME_OVERHEAD = 64 * 1024  # around the photo in a request or answer: names, numbers, msgpack


@dataclass(frozen=True, slots=True)
class AlbumSettings:
    """The folder of the albums, the folder that they may import from (None: no imports), and their limits.

    `required`: the folder was given explicitly, so a server that can't use it must not start.
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


def album_settings(args: argparse.Namespace, max_frame: int, max_pixels: int) -> AlbumSettings:
    """Settings from parsed flags, which include `--db`. A photo must fit a frame of `max_frame` bytes."""
    limits = read(AlbumLimits, args, photo_bytes=max(1, max_frame - _FRAME_OVERHEAD), photo_pixels=max_pixels)
    limits = replace(limits, zip_expanded=4 * limits.zip_bytes)
    root = args.albums or args.db.with_suffix(".albums")
    return read(AlbumSettings, args, root=root, limits=limits, required=args.albums is not None)
