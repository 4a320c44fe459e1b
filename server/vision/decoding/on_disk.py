"""A file that stays on the disk while it is looked at, however large it is: nobody reads it into memory whole."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facewire.protocol.formats import HEAD_BYTES, Format, video_format_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = 1024 * 1024
"""Bytes read at a time of a file that is not read into memory."""


@dataclass(frozen=True, slots=True, eq=False)
class OnDisk:
    """A file opened for reading. `fd`: its descriptor, which a child may be handed, as it can't write to it; `size` in
    bytes; `sha256`: of them, in hexadecimal; `head`: the first HEAD_BYTES."""

    fd: int
    size: int
    sha256: str
    head: bytes

    def __len__(self) -> int:
        return self.size

    def read(self, most: int) -> bytes:
        """Its bytes, of a file that is small enough for memory: no more than one beyond `most`. Raises OSError."""
        return os.pread(self.fd, most + 1, 0)

    def block(self, at: int) -> bytes:
        """The bytes from there on, BLOCK of them or up to the end. Raises OSError."""
        return os.pread(self.fd, BLOCK, at)

    @property
    def video_format(self) -> Format | None:
        """The format if it is a video, by its first bytes."""
        return video_format_of(self.head)


@contextmanager
def on_disk(path: Path, sha256: str) -> Iterator[OnDisk]:
    """Opens a file of known `sha256`. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield OnDisk(fd, os.fstat(fd).st_size, sha256, os.pread(fd, HEAD_BYTES, 0))
    finally:
        os.close(fd)


Video = bytes | OnDisk
"""A video file."""


class Reader(io.RawIOBase):
    """The first `size` bytes behind a descriptor, with a position of its own: another process may hold the same one."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Raises ValueError for a place before the beginning, and OSError."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("a place before the beginning of the file")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Raises OSError."""
        wanted = memoryview(buffer).cast("B")[: max(0, self._size - self._at)]
        count = os.preadv(self._fd, [wanted], self._at) if wanted else 0
        self._at += count
        return count
