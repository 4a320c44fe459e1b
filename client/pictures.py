"""Which files a command line means, and what of them is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from facewire.protocol import clutter
from facewire.protocol.clutter import LeftOut
from facewire.protocol.formats import NAMES, looks_like_a_picture, looks_like_a_video
from facewire.protocol.framing import DEFAULT_MAX_FRAME
from facewire.protocol.jpeg import still
from facewire.protocol.text import counted

LARGEST = DEFAULT_MAX_FRAME - 64 * 1024
"""Bytes: with its request around it, such a picture fits into a frame."""

_NAMED = 50  # files left out that are named, before the rest is only counted


class NoSuchPicture(Exception):
    """A path that doesn't exist, or a folder without pictures."""


class TooManyBytes(Exception):
    """A picture that no frame can hold."""


@dataclass(slots=True)
class Found:
    """`pictures`: the files to send; `others`: files in folders that are no pictures by name or first bytes."""

    pictures: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)

    def about_others(self) -> list[str]:
        """Lines that tell which files were left out, if any."""
        service = [said] if (said := self.left_out.said()) else []
        if not self.others:
            return service
        files = counted(len(self.others), "file that is", "files that are")
        more = [f"  and {len(self.others) - _NAMED} more"] if len(self.others) > _NAMED else []
        head = f"skipped {files} not a picture (can read {NAMES}):"
        return [head, *(f"  {path}" for path in self.others[:_NAMED]), *more, *service]


def find_pictures(paths: Iterable[Path]) -> Found:
    """Files as given, whatever they are; every picture in folders, at any depth, sorted. Raises NoSuchPicture."""
    found = Found()
    for path in paths:
        if path.is_dir():
            inside = pictures_below(path)
            if not inside.pictures:
                others = f", only {counted(len(inside.others), 'other file')}" if inside.others else ""
                raise NoSuchPicture(f"no pictures in {path}{others} (looked for {NAMES} at any depth)")
            found.pictures += inside.pictures
            found.others += inside.others
            found.left_out.folders += inside.left_out.folders
            found.left_out.files += inside.left_out.files
        elif path.exists():
            found.pictures.append(path)
        else:
            raise NoSuchPicture(f"no such file or folder: {path}")
    return found


def pictures_below(folder: Path) -> Found:
    """The files of a folder, at any depth, sorted; no service files."""
    found = Found()
    for path in sorted(files_below(folder, found.left_out)):
        (found.pictures if is_picture(path) else found.others).append(path)
    return found


def files_below(folder: Path, left_out: LeftOut) -> Iterator[Path]:
    """Every file in a folder, at any depth, but for service files, which are counted."""
    return (path for path in clutter.files_below(folder, left_out) if path.is_file())


def is_picture(path: Path) -> bool:
    """By its name or its first bytes. An unreadable file counts as a picture: reading it will tell what is wrong."""
    try:
        return looks_like_a_picture(path)
    except OSError:
        return True


def read_picture(path: Path) -> bytes:
    """The bytes to send of a picture, without the film of a motion photo where the whole file is too large.

    Raises OSError; TooManyBytes.
    """
    data = path.read_bytes()
    if len(data) <= LARGEST:
        return data
    picture = still(data)
    if len(picture) <= LARGEST:
        return picture
    raise TooManyBytes(over_limit(data))


def is_video(path: Path) -> bool:
    """By its name or its first bytes; an unreadable file is none."""
    try:
        return path.is_file() and looks_like_a_video(path)
    except OSError:
        return False


def read_video(path: Path) -> bytes:
    """The bytes to send of a video. Raises OSError; TooManyBytes."""
    size = path.stat().st_size
    if size > LARGEST:
        raise TooManyBytes(
            f"the video has {size / 1e6:.1f} MB, and at most {LARGEST / 1e6:.1f} MB can be sent: make it smaller first "
            "(ffmpeg -i IN -vf scale=-2:720 OUT.mp4), or add it to an album, which takes larger ones"
        )
    return path.read_bytes()


def over_limit(data: bytes) -> str:
    """The message about a file that no frame can hold."""
    alone = len(still(data))
    film = f" (a motion photo, of which the picture itself has {alone / 1e6:.1f} MB)" if alone < len(data) else ""
    return f"the file has {len(data) / 1e6:.1f} MB{film}, and at most {LARGEST / 1e6:.1f} MB can be sent"
