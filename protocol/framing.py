"""Frames: a 4-byte big-endian unsigned length, then that many bytes. Bytes in, frames out; no I/O."""

from __future__ import annotations

import struct

from protocol.errors import EmptyFrame, FrameTooLarge, TruncatedFrame

DEFAULT_MAX_FRAME = 32 * 2**20  # bytes; a 24-megapixel JPEG has 5 to 15 MB, and `verify` sends two pictures

_LENGTH = struct.Struct(">I")


def encode_frame(payload: bytes, max_frame: int = DEFAULT_MAX_FRAME) -> bytes:
    """The frame that carries `payload`. Raises EmptyFrame and FrameTooLarge, as the peer would."""
    _check_length(len(payload), max_frame)
    return _LENGTH.pack(len(payload)) + payload


class FrameDecoder:
    """Takes bytes as they come and gives whole frames' payloads; holds no more than what has arrived.

    After an error the stream can't be understood any more: every later call raises the same error.
    """

    def __init__(self, max_frame: int = DEFAULT_MAX_FRAME) -> None:
        self._max_frame = max_frame
        # Cutting from a bytearray's front only moves its start, so feeding byte by byte stays linear.
        self._buffer = bytearray()
        self._length: int | None = None  # of the payload, once its four bytes are here

    def feed(self, data: bytes) -> None:
        """Adds what has arrived."""
        self._buffer += data

    def next_frame(self) -> bytes | None:
        """The next payload, or None until more is fed.

        Raises FrameTooLarge and EmptyFrame as soon as the four bytes of the length are here.
        """
        if self._length is None:
            if len(self._buffer) < _LENGTH.size:
                return None
            (length,) = _LENGTH.unpack_from(self._buffer)
            _check_length(length, self._max_frame)
            self._length = length
        end = _LENGTH.size + self._length
        if len(self._buffer) < end:
            return None
        with memoryview(self._buffer) as view:
            payload = bytes(view[_LENGTH.size : end])
        del self._buffer[:end]
        self._length = None
        return payload

    @property
    def inside_frame(self) -> bool:
        """Has a frame begun that is not complete? (Ask after `next_frame` gave None.)"""
        return bool(self._buffer)

    def finish(self) -> None:
        """The peer ended its stream. Raises TruncatedFrame when that was inside a frame."""
        if self._buffer:
            expected = "its length" if self._length is None else f"{self._length} bytes"
            raise TruncatedFrame(f"the stream ended inside a frame: {expected} expected, {self._arrived()} arrived")

    def _arrived(self) -> int:
        return len(self._buffer) - (0 if self._length is None else _LENGTH.size)


def _check_length(length: int, max_frame: int) -> None:
    if length == 0:
        raise EmptyFrame("a frame of length 0 carries no message")
    if length > max_frame:
        raise FrameTooLarge(f"a frame of {length} bytes is over the limit of {max_frame}")
