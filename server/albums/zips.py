"""Reading ZIP files that strangers made: limits before memory, and names that are only names."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from protocol.formats import HEAD_BYTES, UNSUPPORTED, format_of, has_extension
from server.albums.limits import MEBIBYTE, AlbumLimits
from server.errors import BadRequest, OverLimit

_END = struct.Struct("<4s4H2LH")  # end of central directory: signature, disks, entries, size, offset, comment
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_ENTRY_BYTES = 1024  # of the central directory an entry: a header of 46, a name, and extra fields
_ENCRYPTED = 0x1
_JUNK = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a ZIP: its bytes, or why it is passed over."""

    name: str
    data: bytes | None
    reason: str = ""


class PhotoZip:
    """The pictures in a ZIP file, one at a time; use as a context manager."""

    def __init__(self, path: Path, limits: AlbumLimits) -> None:
        """Raises BadRequest for what is no ZIP, or an encrypted one; OverLimit for one beyond the limits."""
        self._limits = limits
        try:
            with path.open("rb") as file:
                _check_directory(file, limits)
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, UnicodeDecodeError, OSError) as error:
            raise BadRequest("this is no ZIP file, or it is damaged") from error
        try:
            self.entries = [entry for entry in self._zip.infolist() if not entry.is_dir() and not _is_junk(entry)]
            self._check_entries()
        except BaseException:
            self._zip.close()
            raise

    def photos(self, start: int = 0) -> Iterator[Entry]:
        """Every file in turn, from the `start`-th on; no more than one is in memory. Raises OverLimit when what unpacks
        was lied about."""
        expanded = 0
        for info in self.entries[start:]:
            entry = self._entry(info)
            expanded += len(entry.data or b"")
            if expanded > self._limits.zip_expanded:
                raise OverLimit(f"the ZIP unpacks to more than {self._limits.zip_expanded} bytes")
            yield entry

    def close(self) -> None:
        """Closes the file."""
        self._zip.close()

    def __enter__(self) -> PhotoZip:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _check_entries(self) -> None:
        limits = self._limits
        if len(self.entries) > limits.zip_entries:
            raise OverLimit(f"the ZIP holds {len(self.entries)} files, the limit is {limits.zip_entries}")
        if any(entry.flag_bits & _ENCRYPTED for entry in self.entries):
            raise BadRequest("the ZIP is encrypted: unpack it, and add the pictures or a ZIP without a password")
        if sum(entry.file_size for entry in self.entries) > limits.zip_expanded:
            raise OverLimit(f"the ZIP unpacks to more than {limits.zip_expanded} bytes")
        for entry in self.entries:
            if entry.file_size > MEBIBYTE and entry.file_size > limits.zip_ratio * entry.compress_size:
                raise OverLimit(f"the ZIP holds a file that unpacks to over {limits.zip_ratio} times its size")

    def _entry(self, info: zipfile.ZipInfo) -> Entry:
        if PurePosixPath(info.filename).suffix.lower() == ".zip":
            return Entry(info.filename, None, "a ZIP inside the ZIP: unpack it, and add it on its own")
        try:
            with self._zip.open(info) as file:
                return self._unpacked(info, file)
        # What zipfile raises on damaged, overlapping, or unusually packed entries.
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError):
            return Entry(info.filename, None, "damaged, or packed in an unusual way")

    def _unpacked(self, info: zipfile.ZipInfo, file: IO[bytes]) -> Entry:
        head = file.read(HEAD_BYTES)
        if not has_extension(info.filename) and format_of(head) is None:
            return Entry(info.filename, None, UNSUPPORTED)
        if info.file_size > self._limits.photo_bytes:
            reason = f"the picture has {info.file_size} bytes, the limit is {self._limits.photo_bytes}"
            return Entry(info.filename, None, reason)
        data = head + file.read(self._limits.photo_bytes + 1 - len(head))
        if len(data) > self._limits.photo_bytes:
            return Entry(info.filename, None, f"the picture has more than {self._limits.photo_bytes} bytes")
        return Entry(info.filename, data)


def _is_junk(entry: zipfile.ZipInfo) -> bool:
    """What operating systems put into ZIPs without being asked."""
    name = entry.filename
    return name.startswith(_JUNK[0]) or PurePosixPath(name).name in _JUNK or PurePosixPath(name).name.startswith("._")


def _check_directory(file: BinaryIO, limits: AlbumLimits) -> None:
    """Raises OverLimit before zipfile builds an object for each of a hundred million entries.

    zipfile believes the directory's size and reads all of it; so that is what is checked, not the number of entries.
    """
    size = file.seek(0, 2)
    tail_at = max(0, size - _END.size - 0xFFFF)
    file.seek(tail_at)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise zipfile.BadZipFile
    directory = _END.unpack_from(tail, at)[5]
    locator_at = tail_at + at - _LOCATOR64.size
    if locator_at >= 0:
        file.seek(locator_at)
        signature, _, end64_at, _ = _LOCATOR64.unpack(file.read(_LOCATOR64.size))
        if signature == b"PK\x06\x07" and 0 <= end64_at <= size - _END64.size:
            file.seek(end64_at)
            fields = _END64.unpack(file.read(_END64.size))
            directory = max(directory, fields[8]) if directory != 0xFFFFFFFF else fields[8]
    if directory > limits.zip_entries * _ENTRY_BYTES:
        raise OverLimit(f"the ZIP lists more files than the {limits.zip_entries} that are allowed")
