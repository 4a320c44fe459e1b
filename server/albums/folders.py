"""Pictures in folders on the server's disk, below the import root."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from facewire.protocol.albums.adding import LARGEST_SIDECAR, MAX_FOLDERS, AlbumFoldersListed
from facewire.protocol.clutter import is_clutter
from facewire.protocol.formats import HEAD_BYTES, NEITHER, may_be_kept, video_format_of
from facewire.server.albums.packets import sidecar_names
from facewire.server.albums.settings import AlbumLimits
from facewire.server.albums.zips import Blocks
from facewire.server.errors import BadRequest, InvalidImage
from facewire.server.vision.decoding.on_disk import BLOCK


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
        raise BadRequest(f"the folder can't be read: {error.strerror}") from error
    # A name that is not valid Unicode can't be sent or requested
    names = sorted(name for name in folders if name.isprintable())
    return AlbumFoldersListed(True, tuple(names[:MAX_FOLDERS]), len(names), pictures)


def order(name: str) -> tuple[tuple[bool, str], ...]:
    """Sort key for relative names, in the order of `files_below`: a folder's files before its subfolders."""
    *folders, file = name.split("/")
    return (*((True, folder) for folder in folders), (False, file))


def read_file(path: Path, limits: AlbumLimits) -> bytes | Blocks | str:
    """A picture file's bytes, or what reads a video's, or why it was not read. Links are not followed, as they may
    point outside the root."""
    try:
        descriptor = os.open(path, _OPEN)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return "not a regular file"
            head = file.read(HEAD_BYTES)
            if not may_be_kept(path, head):
                return NEITHER
            if video_format_of(head) is not None:
                return limits.against_video(status.st_size) or partial(_blocks, path, limits.video_bytes)
            if status.st_size > limits.photo_bytes:
                return f"the file has {status.st_size} bytes, the limit is {limits.photo_bytes}"
            return head + file.read(limits.photo_bytes + 1 - len(head))
    except OSError as error:
        return f"can't be read: {error.strerror}"


def _blocks(path: Path, most: int) -> Iterator[bytes]:
    """A video file's bytes. Raises InvalidImage."""
    try:
        with os.fdopen(os.open(path, _OPEN), "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidImage("not a regular file")
            left = most
            while block := file.read(BLOCK):
                left -= len(block)
                if left < 0:
                    raise InvalidImage(f"the video has more than {most} bytes")
                yield block
    except OSError as error:
        raise InvalidImage(f"can't be read: {error.strerror}") from error


def sidecars_beside(path: Path) -> list[bytes]:
    """The XMP files beside a picture; none that is a link, too large, or can't be read."""
    found = []
    names = [spelt for name in sidecar_names(path.name) for spelt in (name, f"{name[:-4]}.XMP")]
    for name in dict.fromkeys(names):
        with contextlib.suppress(OSError), os.fdopen(os.open(path.with_name(name), _OPEN), "rb") as file:
            data = file.read(LARGEST_SIDECAR + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
            found += [data] if 0 < len(data) <= LARGEST_SIDECAR else []
    return found


def modified(path: Path) -> str:
    """When a file was last changed, in this machine's zone, as ISO 8601; empty if it is gone."""
    try:
        seconds = path.lstat().st_mtime
        return datetime.fromtimestamp(seconds, UTC).astimezone().isoformat(timespec="seconds")
    except (OSError, ValueError, OverflowError):  # a file system may say any number
        return ""


_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def _looks_like_a_picture(path: Path) -> bool:
    """Or a video. Judged by its name, else by its first bytes. False if it can't be read."""
    if may_be_kept(path, b""):
        return True
    try:
        with os.fdopen(os.open(path, _OPEN), "rb") as file:
            return may_be_kept(path, file.read(HEAD_BYTES))
    except OSError:
        return False
