"""Chooses the gallery implementation; the only place that does."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from facewire.server.errors import StartError
from facewire.server.gallery.address import Database
from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.sqlite import SqliteGallery


def open_gallery(db: Database, cache_dir: Path | None = None) -> Gallery:
    """Opens the gallery; the caller closes it. `cache_dir`: where the cohort is kept, see `Cohort.load`.

    Raises StartError, with one line for the user, if it can't be used.
    """
    if isinstance(db, Path):
        return SqliteGallery.open(db, cache_dir=cache_dir)
    require_client()
    # Imported here, as it takes half a second and a package that few need.
    from facewire.server.gallery.milvus.gallery import MilvusGallery

    return MilvusGallery.open(db)


def require_client() -> None:
    """Raises StartError where Milvus' client is not installed."""
    if find_spec("pymilvus") is None:
        raise StartError("a gallery in Milvus needs its client: pip install 'facewire[milvus]'")
