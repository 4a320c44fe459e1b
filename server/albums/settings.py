"""What the albums can be told."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path

from facewire.protocol.arguments import read
from facewire.protocol.settings import setting
from facewire.server.albums.limits import AlbumLimits

_FRAME_OVERHEAD = 64 * 1024  # of a photo's request or answer: names, numbers, msgpack


@dataclass(frozen=True, slots=True)
class AlbumSettings:
    """Where albums are kept, what folder they may import from (none, where None), and what they may cost.

    `required`: the folder was named, so a server that can't use it must not start.
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
    """What parsed flags say, `--db` among them; a photo has to fit a frame of `max_frame` bytes."""
    limits = read(AlbumLimits, args, photo_bytes=max(1, max_frame - _FRAME_OVERHEAD), photo_pixels=max_pixels)
    limits = replace(limits, zip_expanded=4 * limits.zip_bytes)
    root = args.albums or args.db.with_suffix(".albums")
    return read(AlbumSettings, args, root=root, limits=limits, required=args.albums is not None)
