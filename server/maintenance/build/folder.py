"""Scans a folder of people: a sub-folder per person, pictures at any depth below it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from facewire.protocol.clutter import LeftOut, is_clutter
from facewire.protocol.formats import looks_like_a_picture
from facewire.server.maintenance.build.report import Reason, Skipped
from facewire.server.names import person_name

LARGEST_FILE = 64 * 1024 * 1024
"""Bytes, twice the decoder's default limit. Larger files are not even read: each job may hold one in memory."""

Place = tuple[int, int]
"""Device and inode, which identify a directory under any name."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to process. `path`: relative to the folder, with forward slashes; `person`: the name its sub-folder stands
    for."""

    person: str
    path: str
    size_bytes: int
    mtime_ns: int


@dataclass(slots=True)
class Scan:
    """A folder's files, the skipped ones, and counts of ignored service files."""

    files: list[FoundFile] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)

    def add(self, looked: FoundFile | Skipped) -> None:
        """Add a file to the right list."""
        if isinstance(looked, FoundFile):
            self.files.append(looked)
        else:
            self.skipped.append(looked)


def scan(folder: Path) -> Scan:
    """Scan `folder`, sorted by name. Raises OSError if the folder itself can't be read.

    Links are followed, but no directory is visited twice for one person, and neither `folder` nor its parents are: that
    prevents loops. Service folders and files (@eaDir, .DS_Store, ._x.jpg) are counted but not read.
    """
    found = Scan()
    above = {_place(directory) for directory in (folder.resolve(), *folder.resolve().parents)}
    for entry in _visible(folder, found.left_out):
        if not _is_directory(entry):
            found.skipped.append(Skipped(entry.name, Reason.STRAY))
            continue
        try:
            person = person_name(entry.name.replace("_", " "))
        except ValueError as error:
            found.skipped.append(Skipped(entry.name, Reason.NAME, str(error)))
            continue
        _scan_person(folder, Path(entry.path), person, above, found)
    return found


def _scan_person(folder: Path, top: Path, person: str, above: set[Place], found: Scan) -> None:
    visited, waiting = set(above), [top]
    while waiting:
        directory = waiting.pop()
        name = directory.relative_to(folder).as_posix()
        try:
            place = _place(directory)
            entries = [] if place in visited else list(_visible(directory, found.left_out))
        except OSError as error:
            found.skipped.append(Skipped(name, Reason.UNREADABLE, error.strerror or str(error)))
            continue
        visited.add(place)
        for entry in entries:
            if _is_directory(entry):
                waiting.append(Path(entry.path))
            else:
                found.add(_look(Path(entry.path), f"{name}/{entry.name}", person))


def _look(path: Path, name: str, person: str) -> FoundFile | Skipped:
    """Classify a file by name and directory entry. It is only opened if its name doesn't look like a picture's."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a named pipe would block until somebody writes
            return Skipped(name, Reason.SPECIAL)
        if not looks_like_a_picture(path):
            return Skipped(name, Reason.KIND)
    except OSError as error:
        return Skipped(name, Reason.UNREADABLE, error.strerror or str(error))
    if not _is_utf8(name):
        return Skipped(name, Reason.NAME, "not UTF-8")
    if status.st_size > LARGEST_FILE:
        return Skipped(name, Reason.LARGE, f"{status.st_size} bytes, at most {LARGEST_FILE}")
    return FoundFile(person, name, status.st_size, status.st_mtime_ns)


def _visible(directory: Path, left_out: LeftOut) -> Iterator[os.DirEntry[str]]:
    visible = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if not is_clutter(entry.name):
                visible.append(entry)
            elif _is_directory(entry):
                left_out.folders += 1
            else:
                left_out.files += 1
    return iter(sorted(visible, key=lambda entry: entry.name))


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to a directory without read permission
        return False


def _place(directory: Path) -> Place:
    status = directory.stat()
    return status.st_dev, status.st_ino


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
