"""Pictures in folders on the server's disk, below the import root."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from facewire.protocol.albums.adding import MAX_FOLDERS, AlbumFoldersListed
from facewire.protocol.clutter import is_clutter
from facewire.protocol.formats import HEAD_BYTES, UNSUPPORTED, format_of, has_extension
from facewire.server.albums.limits import AlbumLimits
from facewire.server.errors import BadRequest


def folder_below(root: Path | None, wanted: str) -> Path:
    """The folder `wanted`, relative to `root`. Raises BadRequest, which reveals nothing about other folders."""
    if root is None:
        raise BadRequest("this server imports no folders: its owner can allow one with --album-import-root")
    try:
        top = root.resolve(strict=True)
        folder = (top / wanted).resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:  # missing; contains NUL; symlink loop
        raise BadRequest("there is no such folder below the import root") from error
    if not folder.is_relative_to(top) or not folder.is_dir():
        raise BadRequest("there is no such folder below the import root")
    return folder


def listing(root: Path | None, wanted: str) -> AlbumFoldersListed:
    """The contents of the folder `wanted`, without links and service folders, which imports skip, too.

    Raises BadRequest.
    """
    if root is None:
        return AlbumFoldersListed(allowed=False, folders=(), total=0, pictures=0)
    folders, pictures = [], 0
    try:
        with os.scandir(folder_below(root, wanted)) as entries:
            for entry in entries:
                if is_clutter(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif entry.is_file(follow_symlinks=False):
                    pictures += _looks_like_a_picture(Path(entry.path))
    except OSError as error:
        raise BadRequest(f"this folder can't be read: {error.strerror}") from error
    # A name that is not valid Unicode can't be sent or requested
    names = sorted(name for name in folders if name.isprintable())
    return AlbumFoldersListed(True, tuple(names[:MAX_FOLDERS]), len(names), pictures)


def order(name: str) -> tuple[tuple[bool, str], ...]:
    """Sort key for relative names, in the order of `files_below`: a folder's files before its subfolders."""
    *folders, file = name.split("/")
    return (*((True, folder) for folder in folders), (False, file))


def read_file(path: Path, limits: AlbumLimits) -> bytes | str:
    """A picture file's bytes, or why it was not read. Links are not followed, as they may point outside the root."""
    try:
        descriptor = os.open(path, _OPEN)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return "no regular file"
            head = file.read(HEAD_BYTES)
            if not has_extension(path) and format_of(head) is None:
                return UNSUPPORTED
            if status.st_size > limits.photo_bytes:
                return f"the picture has {status.st_size} bytes, the limit is {limits.photo_bytes}"
            return head + file.read(limits.photo_bytes + 1 - len(head))
    except OSError as error:
        return f"can't be read: {error.strerror}"


_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def _looks_like_a_picture(path: Path) -> bool:
    """Judged by its name, else by its first bytes. False if it can't be read."""
    if has_extension(path):
        return True
    try:
        with os.fdopen(os.open(path, _OPEN), "rb") as file:
            return format_of(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False
