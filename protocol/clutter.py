"""Files and folders that systems and programs leave among people's pictures: thumbnails, trash, indexes.

The same list applies everywhere: to folders on both sides of the wire, to ZIPs, and to files dropped onto the page.
Hidden files (with a leading dot) count as clutter: .DS_Store, .thumbnails, .Trash-1000, .picasaoriginals, .git, and the
._NAME files that macOS writes for each picture, whose names look like pictures.
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
"""Names used by systems that ignore case (Windows, macOS), casefolded."""

EXACT = frozenset(
    (
        *("@eaDir", "@tmp", "@SynoResource", "#recycle", "#snapshot"),  # Synology
        *("@Recycle", "@Recently-Snapshot", "@__thumb", "@Transcode"),  # QNAP
        *("lost+found", "~snapshot", "aquota.user", "aquota.group"),  # Unix, NetApp
    )
)

PATTERN = r"found\.\d{3}|\$r[a-z0-9]{6}\..*|.*@synoeastream|.*@synoresource|~syncthing~.*\.tmp"
"""Files saved by chkdsk, Windows' deleted files, Synology's streams, Syncthing's partial files. Matches whole names,
ignoring case. The page's scripts use it, too."""

_PATTERN = re.compile(PATTERN, re.IGNORECASE)


def is_clutter(name: str) -> bool:
    """Is a file or folder of this name (a single path component) clutter?"""
    if name.startswith("."):
        return name not in (".", "..")
    return name in EXACT or name.casefold() in ANY_CASE or _PATTERN.fullmatch(name) is not None


@dataclass(slots=True)
class LeftOut:
    """Numbers of service folders (each with all its contents) and of other service files that were skipped."""

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
    """All files at any depth except clutter, in order of names, a folder's files before its subfolders. Linked folders
    are not followed; unreadable ones are skipped."""
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
    """For relative names with forward slashes: which files to keep, and counts of the rest."""
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
