"""Reads untrusted ZIP files: limits are checked before memory is used, and names are never used as paths."""

from __future__ import annotations

import contextlib
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import compress
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from facewire.protocol.albums.adding import LARGEST_SIDECAR
from facewire.protocol.clutter import LeftOut, sorted_out
from facewire.protocol.formats import FILM_OF_STILL, HEAD_BYTES, NEITHER, films_of_stills, may_be_kept, video_format_of
from facewire.protocol.settings import MEBIBYTE
from facewire.protocol.text import counted
from facewire.server.albums.packets import is_sidecar, sidecar_names
from facewire.server.albums.settings import AlbumLimits
from facewire.server.albums.zip_names import names_of
from facewire.server.errors import BadRequest, InvalidImage, OverLimit
from facewire.server.vision.decoding.on_disk import BLOCK

_END = struct.Struct("<4s4H2LH")  # end of central directory: signature, disks, entries, size, offset, comment
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_ENTRY_BYTES = 1024  # bytes per entry of the central directory: a header of 46, a name, extra fields
_ENCRYPTED = 0x1

_DAMAGED = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(struct.error, NotImplementedError, RuntimeError, ValueError, MemoryError),  # the last: LZMA states its need
)
"""Raised by zipfile for damaged files, and for entries that are damaged, overlap or are compressed unusually."""

_UNUSUAL = "damaged, or packed in an unusual way"


Blocks = Callable[[], Iterator[bytes]]
"""Reads a file in blocks, so that it is never in memory. Raises InvalidImage if it can't be read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a ZIP: its bytes, or of a video (`film`) what reads them, or why it was skipped; `modified`: its time,
    as ISO 8601, if the ZIP has one."""

    name: str
    data: bytes | None
    reason: str = ""
    modified: str = ""
    film: Blocks | None = None


class PhotoZip:
    """The pictures and videos in a ZIP file, one at a time; use as a context manager."""

    def __init__(self, path: Path, limits: AlbumLimits) -> None:
        """Raises BadRequest if it is not a ZIP or is encrypted, OverLimit if it exceeds the limits."""
        self._limits = limits
        try:
            with path.open("rb") as file:
                _check_directory(file, limits)
            self._zip = zipfile.ZipFile(path)
        except _DAMAGED as error:
            raise BadRequest("not a ZIP file, or a damaged one") from error
        try:
            self.entries, self.left_out = self._listed()
            self._check_entries()
            self._beside = {name.lower(): info for info, name in self.entries if is_sidecar(name)}
            self._films = films_of_stills(name for _, name in self.entries)
        except BaseException:
            self._zip.close()
            raise

    def photos(self, start: int = 0) -> Iterator[Entry]:
        """Every file in turn, from the `start`-th on; only one is in memory at a time. Raises OverLimit if they unpack
        to more than the limit, whatever sizes they declare."""
        expanded = 0
        for info, name in self.entries[start:]:
            entry = self._entry(info, name)
            expanded += len(entry.data or b"") if entry.film is None else info.file_size
            if expanded > self._limits.zip_expanded:
                raise OverLimit(f"the ZIP unpacks to more than {self._limits.zip_expanded} bytes")
            yield entry

    def sidecars(self, name: str) -> list[bytes]:
        """The XMP files beside the picture of this name; none that is too large or damaged."""
        found = []
        for wanted in sidecar_names(name):
            info = self._beside.get(wanted.lower())
            if info is None or info.file_size > LARGEST_SIDECAR:
                continue
            with contextlib.suppress(*_DAMAGED), self._zip.open(info) as file:
                data = file.read(LARGEST_SIDECAR + 1)
                found += [data] if len(data) <= LARGEST_SIDECAR else []
        return found

    def close(self) -> None:
        """Closes the file."""
        self._zip.close()

    def __enter__(self) -> PhotoZip:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _listed(self) -> tuple[list[tuple[zipfile.ZipInfo, str]], LeftOut]:
        """The files with their names, and counts of service files that systems add to ZIPs unasked."""
        # Not ZipInfo.is_dir, which fails on an empty name.
        infos = [info for info in self._zip.infolist() if not info.filename.endswith("/")]
        # A folder's name may also end in a backslash, so only the decoded name tells.
        named = [(info, name) for info, name in zip(infos, names_of(infos), strict=True) if not name.endswith("/")]
        kept, left_out = sorted_out(name for _, name in named)
        return list(compress(named, kept)), left_out

    def _check_entries(self) -> None:
        limits = self._limits
        infos = [info for info, _ in self.entries]
        if len(self.entries) > limits.zip_entries:
            raise OverLimit(f"the ZIP holds {counted(len(self.entries), 'file')}, the limit is {limits.zip_entries}")
        if any(info.flag_bits & _ENCRYPTED for info in infos):
            raise BadRequest("the ZIP is encrypted: unpack it, and add the pictures or a ZIP without a password")
        if sum(info.file_size for info in infos) > limits.zip_expanded:
            raise OverLimit(f"the ZIP unpacks to more than {limits.zip_expanded} bytes")
        for info in infos:
            if info.file_size > MEBIBYTE and info.file_size > limits.zip_ratio * info.compress_size:
                raise OverLimit(f"the ZIP holds a file that unpacks to over {limits.zip_ratio} times its size")

    def _entry(self, info: zipfile.ZipInfo, name: str) -> Entry:
        if PurePosixPath(name).suffix.lower() == ".zip":
            return Entry(name, None, "a ZIP inside the ZIP: unpack it, and add it separately")
        if name in self._films:
            return Entry(name, None, FILM_OF_STILL)
        try:
            with self._zip.open(info) as file:
                return self._unpacked(info, name, file)
        except _DAMAGED:
            return Entry(name, None, _UNUSUAL)

    def _unpacked(self, info: zipfile.ZipInfo, name: str, file: IO[bytes]) -> Entry:
        head = file.read(HEAD_BYTES)
        if not may_be_kept(name, head):
            return Entry(name, None, NEITHER)
        if video_format_of(head) is not None:
            return self._film(info, name)
        if info.file_size > self._limits.photo_bytes:
            reason = f"the file has {info.file_size} bytes, the limit is {self._limits.photo_bytes}"
            return Entry(name, None, reason)
        data = head + file.read(self._limits.photo_bytes + 1 - len(head))
        if len(data) > self._limits.photo_bytes:
            return Entry(name, None, f"the file has more than {self._limits.photo_bytes} bytes")
        return Entry(name, data, modified=_modified(info))

    def _film(self, info: zipfile.ZipInfo, name: str) -> Entry:
        if reason := self._limits.against_video(info.file_size):
            return Entry(name, None, reason)
        return Entry(name, None, modified=_modified(info), film=partial(self._blocks, info))

    def _blocks(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """No more than the file's declared size, which zipfile sees to."""
        try:
            with self._zip.open(info) as file:
                while block := file.read(BLOCK):
                    yield block
        except _DAMAGED as error:
            raise InvalidImage(_UNUSUAL) from error


def _modified(info: zipfile.ZipInfo) -> str:
    """Without a zone, as ZIPs have none; empty if it is the earliest possible, which stands for none."""
    if info.date_time <= (1980, 1, 1, 0, 0, 0):
        return ""
    try:
        return datetime(*info.date_time).isoformat()
    except ValueError:
        return ""


def _check_directory(file: BinaryIO, limits: AlbumLimits) -> None:
    """Raises OverLimit before zipfile creates an object for each of, say, a hundred million entries.

    zipfile trusts the directory's size and reads all of it, so this checks that size, not the number of entries.
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
