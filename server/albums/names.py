"""What people call albums and photos, and what a file in a ZIP may be called. None of it is ever a path here."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from protocol.formats import format_called
from server.errors import BadRequest

LONGEST_ALBUM_NAME = 100
LONGEST_PHOTO_NAME = 500  # characters, folders and all
_LONGEST_PART = 180  # bytes of UTF-8: file systems take 255, and a number or an extension may come to it

_DRIVE = re.compile(r"^[A-Za-z]:")
_FORBIDDEN = re.compile(r'[<>:"|?*\\]')  # in names on Windows
# Device names of Windows, with any extension, and with spaces before it.
_RESERVED = re.compile(r"^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\..*)?$", re.IGNORECASE)


def album_name(text: str) -> str:
    """`text` in NFC, runs of white space as one space. Raises BadRequest where it is no name."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name:
        raise BadRequest("an album needs a name")
    if len(name) > LONGEST_ALBUM_NAME:
        raise BadRequest(f"an album's name has at most {LONGEST_ALBUM_NAME} characters, this one {len(name)}")
    if any(_drives_a_terminal(character) for character in name):
        raise BadRequest("an album's name is text without control characters")
    return name


def photo_name(text: str) -> str:
    """A relative name with forward slashes, whatever came: no drive, no root, no way up, no control characters.

    Nothing is refused: a photo is not lost because the program that packed it wrote odd names.
    """
    text = unicodedata.normalize("NFC", text).replace("\\", "/")
    text = "".join("_" if _drives_a_terminal(character) else character for character in text)
    parts = [part.strip() for part in _DRIVE.sub("", text).split("/")]
    parts = [part for part in parts if part not in ("", ".", "..")] or ["photo"]
    while len("/".join(parts)) > LONGEST_PHOTO_NAME and len(parts) > 1:
        parts.pop(0)
    return "/".join(parts)[-LONGEST_PHOTO_NAME:]


class FileNames:
    """Names for the files of one ZIP: any system can unpack them, and no two of them meet, whatever the case."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def take(self, name: str, form: str | None = None) -> str:
        """A name like `name` that is free; with an extension of the picture's `form`, where it has none of them."""
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
        """The same folder, with an underscore where one of its parts is the name of a file."""
        free = PurePosixPath()
        for part in folder.parts:
            while _key(free / part) in self._files:
                part += "_"
            free /= part
        return free


def _key(path: PurePosixPath) -> str:
    """Equal for names that are one to some file system: whatever the case, and however accents are written."""
    folded = unicodedata.normalize("NFKC", str(path)).casefold()
    return unicodedata.normalize("NFKC", folded)  # folding takes some letters apart again


def _safe_part(part: str) -> str:
    part = _FORBIDDEN.sub("_", "".join("_" if _drives_a_terminal(c) else c for c in part)).strip().rstrip(". ")
    stem, dot, suffix = part.rpartition(".")
    if len(part.encode()) > _LONGEST_PART and dot and len(suffix) < 10:
        part = f"{_cut(stem, _LONGEST_PART - len(suffix.encode()) - 1)}.{suffix}"
    part = _cut(part, _LONGEST_PART) or "_"
    return f"_{part}" if _RESERVED.match(part) or part in (".", "..") else part


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")


def _drives_a_terminal(character: str) -> bool:
    """Control characters, halves of surrogate pairs, and those that turn the direction of text.

    Not the joiners, with which Persian and Indian names are written.
    """
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return True
    return character in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
