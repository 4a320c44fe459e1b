"""Names of albums, photos and files in ZIPs. The server never uses any of them as a path."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from facewire.protocol.formats import format_called
from facewire.server.errors import BadRequest
from facewire.server.names import checked_name, folded, harmless, tidy

LONGEST_ALBUM_NAME = 100
LONGEST_PHOTO_NAME = 500  # characters, folders and all
_LONGEST_PART = 180  # bytes of UTF-8: file systems allow 255, and a number or an extension may be appended

_DRIVE = re.compile(r"^[A-Za-z]:")
_FORBIDDEN = re.compile(r'[<>:"|?*\\]')  # in names on Windows
# Windows device names, with any extension, perhaps preceded by spaces.
_RESERVED = re.compile(r"^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\..*)?$", re.IGNORECASE)


def album_name(text: str) -> str:
    """`text` as an album name, normalised by `tidy`. Raises BadRequest if it can't be one."""
    return checked_name(text, "an album", "an album's name", LONGEST_ALBUM_NAME, BadRequest)


def photo_name(text: str) -> str:
    """Turns any text into a relative name with forward slashes: no drive, no root, no "..", no control characters.

    Nothing is refused, so that no photo is lost because some program wrote an odd name.
    """
    text = harmless(unicodedata.normalize("NFC", text).replace("\\", "/"))
    parts = [part.strip() for part in _DRIVE.sub("", text).split("/")]
    parts = [part for part in parts if part not in ("", ".", "..")] or ["photo"]
    while len("/".join(parts)) > LONGEST_PHOTO_NAME and len(parts) > 1:
        parts.pop(0)
    return "/".join(parts)[-LONGEST_PHOTO_NAME:]


def wanted_text(typed: str) -> str:
    """What somebody typed to search for, as SQL's `contains` takes it."""
    return folded(tidy(typed))


def wanted_number(typed: str) -> int:
    """The number that somebody typed, in digits of any script; -1, which nothing has, if it is none."""
    text = wanted_text(typed)
    return int(text) if text.isdecimal() and len(text) < 16 else -1


class FileNames:
    """Hands out file names for one ZIP that any system can unpack; no two differ only in case."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def take(self, name: str, form: str | None = None) -> str:
        """A free name like `name`, with an extension of the format `form` appended if it has none of them."""
        path = PurePosixPath(*[_safe_part(part) for part in name.split("/")])
        extensions = () if form is None else format_called(form).extensions
        if extensions and path.suffix.lower() not in extensions:
            path = path.with_name(path.name + extensions[0])
        folder = self._free_folder(path.parent)
        stem, suffix, number = path.stem, path.suffix, 1
        path = folder / path.name
        while _key(path) in self._files or _key(path) in self._folders:
            number += 1
            path = folder / f"{stem} ({number}){suffix}"
        self._files.add(_key(path))
        self._folders.update(_key(parent) for parent in path.parents)
        return str(path)

    def _free_folder(self, folder: PurePosixPath) -> PurePosixPath:
        """The same folder, with an underscore appended to parts that are already names of files."""
        free = PurePosixPath()
        for part in folder.parts:
            while _key(free / part) in self._files:
                part += "_"
            free /= part
        return free


def _key(path: PurePosixPath) -> str:
    """A key equal for names that some file system considers the same: ignores case and the encoding of accents."""
    folded = unicodedata.normalize("NFKC", str(path)).casefold()
    return unicodedata.normalize("NFKC", folded)  # casefolding decomposes some letters


def _safe_part(part: str) -> str:
    part = _FORBIDDEN.sub("_", harmless(part)).strip().rstrip(". ")
    stem, dot, suffix = part.rpartition(".")
    if len(part.encode()) > _LONGEST_PART and dot and len(suffix) < 10:
        part = f"{_cut(stem, _LONGEST_PART - len(suffix.encode()) - 1)}.{suffix}"
    part = _cut(part, _LONGEST_PART) or "_"
    return f"_{part}" if _RESERVED.match(part) or part in (".", "..") else part


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")
