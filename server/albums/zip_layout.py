"""The layout of a ZIP file whose every byte is determined in advance, so any piece of it can be computed at any time.

Files are stored uncompressed: photographs don't shrink, and then the offsets depend on sizes alone.
Format: APPNOTE.TXT 6.3, with ZIP64 records where numbers need them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s4B4H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_EXTRA64 = struct.Struct("<2H")  # the ZIP64 extra field's head: it holds what doesn't fit the header, 8 bytes each

_UTF8 = 0x800
_FROM_UNIX = 3
_READABLE = 0o100644 << 16
_LARGEST = 0xFFFFFFFF
_MOST = 0xFFFF


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in a ZIP, with a relative name and forward slashes. `at`: offset of its local header."""

    path: str
    size: int
    crc32: int
    stamp: datetime
    at: int

    @property
    def data_at(self) -> int:
        """The offset of its bytes."""
        return self.at + len(self.local_header())

    @property
    def end(self) -> int:
        """The offset of the next file."""
        return self.data_at + self.size

    def local_header(self) -> bytes:
        """The header in front of its bytes."""
        name, (size, version), extra = self.path.encode(), self._sized, self._extra()
        numbers = self.crc32, size, size, len(name), len(extra)
        return _LOCAL.pack(b"PK\x03\x04", version, _UTF8, 0, *_dos(self.stamp), *numbers) + name + extra

    @property
    def central_size(self) -> int:
        """The size of its entry in the central directory, in bytes."""
        return _CENTRAL.size + len(self.path.encode()) + len(self._extra(self.at))

    def central_header(self) -> bytes:
        """Its entry in the central directory."""
        name, size, extra = self.path.encode(), self._sized[0], self._extra(self.at)
        version = 45 if extra else 20
        return (
            _CENTRAL.pack(
                b"PK\x01\x02", version, _FROM_UNIX, version, 0, _UTF8, 0, *_dos(self.stamp), self.crc32, size,
                size, len(name), len(extra), 0, 0, 0, _READABLE, min(self.at, _LARGEST),
            )
            + name
            + extra
        )  # fmt: skip

    @property
    def _sized(self) -> tuple[int, int]:
        """Its size for a header, and the version that the header needs."""
        return min(self.size, _LARGEST), 45 if self.size >= _LARGEST else 20

    def _extra(self, at: int = 0) -> bytes:
        """The ZIP64 field with the sizes and the offset that are too large for a header; empty if none is."""
        sizes = [self.size] * 2 if self.size >= _LARGEST else []
        large = [*sizes, *([at] if at >= _LARGEST else [])]
        return _EXTRA64.pack(1, 8 * len(large)) + struct.pack(f"<{len(large)}Q", *large) if large else b""


def end_records(files: int, directory_at: int, directory_size: int) -> bytes:
    """The records after the central directory."""
    large = files >= _MOST or directory_at >= _LARGEST or directory_size >= _LARGEST
    end = _END.pack(
        b"PK\x05\x06", 0, 0, min(files, _MOST), min(files, _MOST),
        min(directory_size, _LARGEST), min(directory_at, _LARGEST), 0,
    )  # fmt: skip
    if not large:
        return end
    end64 = _END64.pack(b"PK\x06\x06", _END64.size - 12, 45, 45, 0, 0, files, files, directory_size, directory_at)
    return end64 + _LOCATOR64.pack(b"PK\x06\x07", 0, directory_at + directory_size, 1) + end


def _dos(stamp: datetime) -> tuple[int, int]:
    """Time and date in MS-DOS format: two-second resolution, from 1980 on."""
    year = max(1980, stamp.year) - 1980
    return stamp.hour << 11 | stamp.minute << 5 | stamp.second // 2, year << 9 | stamp.month << 5 | stamp.day
