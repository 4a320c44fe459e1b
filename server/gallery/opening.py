"""Which implementation keeps a gallery: the one place that decides."""

from __future__ import annotations

from pathlib import Path

from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.sqlite import SqliteGallery


def open_gallery(path: Path) -> Gallery:
    """The gallery at `path`, to be closed. Raises StartError with one line for the user where there is none of ours."""
    return SqliteGallery.open(path)
