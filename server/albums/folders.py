"""Pictures in a folder of the server's own disk, below the one root that its owner allows."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from protocol.album_messages import MAX_FOLDERS, AlbumFoldersListed
from server.albums.limits import AlbumLimits
from server.albums.pictures import EXTENSIONS
from server.errors import BadRequest


def folder_below(root: Path | None, wanted: str) -> Path:
    """The folder called `wanted`, relative to `root`. Raises BadRequest, which says nothing about other folders."""
    if root is None:
        raise BadRequest("this server imports no folders: its owner can allow one with --album-import-root")
    try:
        top = root.resolve(strict=True)
        folder = (top / wanted).resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:  # missing; a NUL; a loop of links
        raise BadRequest("there is no such folder below the import root") from error
    if not folder.is_relative_to(top) or not folder.is_dir():
        raise BadRequest("there is no such folder below the import root")
    return folder


def listing(root: Path | None, wanted: str) -> AlbumFoldersListed:
    """What lies in the folder called `wanted`: no link and no hidden one, as an import would not enter it.

    Raises BadRequest.
    """
    if root is None:
        return AlbumFoldersListed(allowed=False, folders=(), total=0, pictures=0)
    folders, pictures = [], 0
    try:
        with os.scandir(folder_below(root, wanted)) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    pictures += Path(entry.name).suffix.lower() in EXTENSIONS
    except OSError as error:
        raise BadRequest(f"this folder can't be read: {error.strerror}") from error
    # A name that is no Unicode can't be said on the wire, nor asked for
    names = sorted(name for name in folders if name.isprintable())
    return AlbumFoldersListed(True, tuple(names[:MAX_FOLDERS]), len(names), pictures)


def pictures_in(folder: Path) -> Iterator[Path]:
    """Every file that looks like a picture, at any depth, in the order of names; no link and no hidden file."""
    for directory, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS:
                yield Path(directory, name)


def order(name: str) -> tuple[tuple[bool, str], ...]:
    """Relative names sorted by this are as `pictures_in` gives them: a folder's files before its folders."""
    *folders, file = name.split("/")
    return (*((True, folder) for folder in folders), (False, file))


def read_file(path: Path, limits: AlbumLimits) -> bytes | str:
    """The bytes of a file, or why they are not read. A link is not followed: it may lead out of the root."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        return f"can't be read: {error.strerror}"
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return "no regular file"
        if status.st_size > limits.photo_bytes:
            return f"the picture has {status.st_size} bytes, the limit is {limits.photo_bytes}"
        return file.read(limits.photo_bytes + 1)
