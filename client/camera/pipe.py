"""What the reading child and its parent say to each other, over the child's standard input and output.

The parent sends one line of JSON, `Order`, then one byte for each frame that it wants. The child sends records: a
header (kind, seconds into the stream, length) and so many bytes.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from enum import IntEnum

HEADER = struct.Struct(">BdI")
WANTED = b"\n"
LARGEST = 32 * 2**20
"""Bytes of a record; a JPEG of 4K has a tenth of that."""


class Kind(IntEnum):
    """What a record holds."""

    FRAME = 1  # a JPEG
    OPENED = 2  # nothing: the stream can be read
    ENDED = 3  # nothing: the file is over
    LOST = 4  # why, in UTF-8; asking again may help
    WRONG = 5  # why, in UTF-8; this is nothing that can be watched


@dataclass(frozen=True, slots=True)
class Order:
    """What to read. `width`: pixels, wider frames are made narrower; `step_s`: of a file, seconds between frames."""

    kind: str
    where: str
    width: int
    step_s: float
    open_s: float
    read_s: float

    def line(self) -> bytes:
        """The first line that the child reads."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @staticmethod
    def of(line: bytes) -> Order:
        """The order in a line."""
        return Order(**json.loads(line))
