"""What systems and programs leave beside people's pictures: thumbnails, bins, indexes. Never people or photos.

The one list for every door: folders on both sides of the wire, ZIPs, what is dropped onto the page. Hidden ones (a
name that begins with a dot) are among them: .DS_Store, .thumbnails, .Trash-1000, .picasaoriginals, .git, and the ._NAME
files that macOS writes beside each picture, which look like pictures by their names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from facewire.protocol.text import counted

ANY_CASE = frozenset(
    (
        *("$recycle.bin", "recycler", "system volume information", "msocache", "$windows.~bt", "$windows.~ws"),
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini"),
        *("__macosx", "ipod photo cache", "network trash folder", "temporary items", "icon\r", "zbthumbnail.info"),
    )
)
"""Of systems that don't tell upper case from lower: Windows, macOS; casefolded."""

EXACT = frozenset(
    (
        *("@eaDir", "@tmp", "@SynoResource", "#recycle", "#snapshot"),  # Synology
        *("@Recycle", "@Recently-Snapshot", "@__thumb", "@Transcode"),  # QNAP
        *("lost+found", "~snapshot", "aquota.user", "aquota.group"),  # Unix, NetApp
    )
)

PATTERN = r"found\.\d{3}|\$r[a-z0-9]{6}\..*|.*@synoeastream|.*@synoresource|~syncthing~.*\.tmp"
"""What chkdsk saves, Windows' deleted files, Synology's streams, half a file of Syncthing's: whole names, any case. The
page's scripts read it, too."""

_PATTERN = re.compile(PATTERN, re.IGNORECASE)


def is_clutter(name: str) -> bool:
    """Whether a file or folder of this name (one part of a path) was left by a system or a program."""
    if name.startswith("."):
        return name not in (".", "..")
    return name in EXACT or name.casefold() in ANY_CASE or _PATTERN.fullmatch(name) is not None


@dataclass(slots=True)
class LeftOut:
    """How many service folders (each with all its contents) and service files beside pictures were skipped."""

    folders: int = 0
    files: int = 0

    @property
    def total(self) -> int:
        return self.folders + self.files

    def said(self) -> str:
        """`3 service folders and 1 service file left out`; empty if there were none."""
        counts = ((self.folders, "service folder"), (self.files, "service file"))
        parts = [counted(number, thing) for number, thing in counts if number]
        return f"{' and '.join(parts)} left out" if parts else ""


def files_below(folder: Path, left_out: LeftOut) -> Iterator[Path]:
    """Every file at any depth but for clutter, in the order of names, a folder's files before its folders. No linked
    folder is entered, and one that can't be read is passed over."""
    for directory, folders, files in os.walk(folder):
        kept = sorted(name for name in folders if not is_clutter(name))
        left_out.folders += len(folders) - len(kept)
        folders[:] = kept
        for name in sorted(files):
            if is_clutter(name):
                left_out.files += 1
            else:
                yield Path(directory, name)


def sorted_out(names: Iterable[str]) -> tuple[list[bool], LeftOut]:
    """Of files by their relative names, with forward slashes: which are no clutter, and what the others are."""
    kept, folders, left_out = [], set[PurePosixPath](), LeftOut()
    for name in names:
        path = PurePosixPath(name)
        place = next((at for at, part in enumerate(path.parts) if is_clutter(part)), None)
        kept.append(place is None)
        if place == len(path.parts) - 1:
            left_out.files += 1
        elif place is not None:
            folders.add(PurePosixPath(*path.parts[: place + 1]))
    left_out.folders = len(folders)
    return kept, left_out
