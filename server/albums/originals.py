"""The photos' bytes, unchanged and stored once, in files named by their sha256, never by a name from a client."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from facewire.server.albums.database import OWNER_ONLY
from facewire.server.durable import put_in_place
from facewire.server.vision.decoding.on_disk import BLOCK, OnDisk, on_disk

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Sums:
    """Of a file's bytes; `sha256` in hexadecimal."""

    size: int
    sha256: str
    crc32: int


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is on the disk under a temporary name."""

    path: Path
    sums: Sums

    def opened(self) -> AbstractContextManager[OnDisk]:
        """Raises OSError."""
        return on_disk(self.path, self.sums.sha256)


class Originals:
    """Files `originals/ab/abcd...` below `root`. A file is complete once it has that name."""

    def __init__(self, root: Path) -> None:
        self._kept = root / "originals"
        self._incoming = root / "incoming"
        self._kept.mkdir(exist_ok=True, mode=OWNER_ONLY)
        self._incoming.mkdir(exist_ok=True, mode=OWNER_ONLY)

    def write(self, data: bytes) -> Path:
        """Writes the bytes under a temporary name. Raises OSError, leaving nothing behind."""
        path = self._incoming / secrets.token_hex(16)
        try:
            with path.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # here, outside the writer's lock, so that `keep` is fast
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path

    def take(self, blocks: Iterable[bytes]) -> Written:
        """Writes a file as it comes, under a temporary name. Raises OSError and what `blocks` raises, leaving nothing
        behind."""
        path = self._incoming / secrets.token_hex(16)
        try:
            with path.open("xb") as file:
                written = Written(path, sums_of(_through(blocks, file.write)))
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return written

    def share(self, path: Path, blocks: Iterable[bytes]) -> Written:
        """The same of a file on this disk, which stays where it is, too, without copying it; `blocks` are its bytes."""
        shared = self._incoming / secrets.token_hex(16)
        try:
            shared.hardlink_to(path)
        except OSError:  # a file system without links
            return self.take(blocks)
        try:
            return Written(shared, sums_of(blocks))
        except BaseException:
            shared.unlink(missing_ok=True)
            raise

    def keep(self, written: Path, sha256: str) -> None:
        """Gives a written file its final name."""
        target = self.path(sha256)
        target.parent.mkdir(exist_ok=True)
        put_in_place(written, target)

    def path(self, sha256: str) -> Path:
        """The path of an original."""
        return self._kept / sha256[:2] / sha256

    def read(self, sha256: str) -> bytes:
        """An original's bytes. Raises OSError."""
        return self.path(sha256).read_bytes()

    def opened(self, sha256: str) -> AbstractContextManager[OnDisk]:
        """An original that may be too large for memory. Raises OSError."""
        return on_disk(self.path(sha256), sha256)

    def drop(self, sha256s: Iterable[str]) -> None:
        """Removes originals that are no longer referenced."""
        for sha256 in sha256s:
            self.path(sha256).unlink(missing_ok=True)

    def sweep(self, is_known: Callable[[str], bool]) -> None:
        """Removes files left by a crash: half-written or never acknowledged."""
        for path in self._incoming.iterdir():
            path.unlink()
        for path in self._kept.glob("*/*"):
            if _SHA256.fullmatch(path.name) and not is_known(path.name):
                path.unlink()


def blocks_of(fd: int) -> Iterator[bytes]:
    """The bytes behind a descriptor, a block at a time, wherever it stands. Raises OSError."""
    at = 0
    while block := os.pread(fd, BLOCK, at):
        at += len(block)
        yield block


def _through(blocks: Iterable[bytes], write: Callable[[bytes], object]) -> Iterator[bytes]:
    for block in blocks:
        write(block)
        yield block


def sums_of(blocks: Iterable[bytes]) -> Sums:
    """Of a file that comes in blocks. Raises what these raise."""
    size, crc32, sha256 = 0, 0, hashlib.sha256()
    for block in blocks:
        size, crc32 = size + len(block), zlib.crc32(block, crc32)
        sha256.update(block)
    return Sums(size, sha256.hexdigest(), crc32)
