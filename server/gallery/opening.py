"""Chooses the gallery implementation; the only place that does."""

from __future__ import annotations

from pathlib import Path

from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.sqlite import SqliteGallery


def open_gallery(path: Path) -> Gallery:
    """Opens the gallery at `path`; the caller closes it. Raises StartError, with one line for the user, if it can't be
    used."""
    return SqliteGallery.open(path)
