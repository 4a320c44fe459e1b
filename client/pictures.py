"""Which files a command line means."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})  # what the server reads


class NoSuchPicture(Exception):
    """A path that is not there, or a folder without pictures."""


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """Files as given, whatever their name; of folders every picture at any depth, sorted. Raises NoSuchPicture."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
            if not inside:
                raise NoSuchPicture(f"no pictures in {path}: looked for {', '.join(sorted(EXTENSIONS))} at any depth")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise NoSuchPicture(f"no such file or folder: {path}")
    return found
