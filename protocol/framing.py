"""Frames: a 4-byte big-endian unsigned length, then that many bytes. Bytes in, frames out; no I/O."""

from __future__ import annotations

import mmap
import struct

from facewire.protocol.errors import EmptyFrame, ForeignProtocol, FrameTooLarge, TruncatedFrame

DEFAULT_MAX_FRAME = 32 * 2**20  # bytes; a 24-megapixel JPEG takes 5 to 15 MB, and `verify` sends two pictures
SMALL = 256 * 1024  # bytes; a larger frame gets its own memory, which is returned to the system afterwards

_LENGTH = struct.Struct(">I")


def encode_frame(payload: bytes, max_frame: int = DEFAULT_MAX_FRAME) -> bytes:
    """The frame for `payload`. Raises EmptyFrame or FrameTooLarge where the peer would."""
    _check_length(len(payload), max_frame)
    return _LENGTH.pack(len(payload)) + payload


class FrameDecoder:
    """Takes bytes as they arrive and returns the payloads of complete frames. Holds no more than what has arrived.

    After an error the stream can't be decoded any more, and every later call raises the same error.
    """

    def __init__(self, max_frame: int = DEFAULT_MAX_FRAME) -> None:
        self.max_frame = max_frame  # applies to frames whose length has not been read yet
        # Deleting from the front of a bytearray only moves its start, so feeding byte by byte takes linear time.
        self._buffer = bytearray()  # a length and what follows it; empty while there is a _body
        self._length: int | None = None  # of the payload, once its four bytes have arrived
        self._body: mmap.mmap | None = None  # of a large frame: memory that is allocated as it is written to
        self._filled = 0

    def feed(self, data: bytes) -> None:
        """Adds received bytes."""
        if self._body is not None:
            data = self._fill(self._body, data)
        self._buffer += data

    def next_frame(self) -> bytes | None:
        """The next payload, or None until more is fed.

        Raises FrameTooLarge or EmptyFrame as soon as the four bytes of the length have arrived.
        """
        if self._length is None:
            self._length = self._take_length()
        if self._length is None:
            return None
        if self._length > SMALL:
            return self._large_frame(self._length)
        if len(self._buffer) < self._length:
            return None
        with memoryview(self._buffer) as view:
            payload = bytes(view[: self._length])
        del self._buffer[: self._length]
        self._length = None
        return payload

    @property
    def announced(self) -> int | None:
        """Payload size in bytes of the frame being received, once its length has arrived; else None."""
        return self._length

    @property
    def inside_frame(self) -> bool:
        """Is there an incomplete frame? (Valid after `next_frame` has returned None.)"""
        return self._length is not None or bool(self._buffer)

    @property
    def arrived(self) -> int:
        """Number of its bytes received so far."""
        return self._filled + len(self._buffer)

    def finish(self) -> None:
        """Call at the end of the stream. Raises TruncatedFrame if a frame is incomplete."""
        if self.inside_frame:
            expected = "its length" if self._length is None else f"{self._length} bytes"
            raise TruncatedFrame(f"the stream ended inside a frame: {expected} expected, {self.arrived} arrived")

    def drop(self) -> None:
        """Frees the memory of a frame that will never be complete. Nothing can be read afterwards."""
        self._buffer.clear()
        if self._body is not None:
            self._body.close()
            self._body = None
        self._filled = 0

    def _take_length(self) -> int | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        _check_length(length, self.max_frame)
        del self._buffer[: _LENGTH.size]
        return int(length)

    def _large_frame(self, length: int) -> bytes | None:
        if self._body is None:
            # Private memory without a file. Its pages exist only once written to, so a mere announcement costs nothing.
            self._body = mmap.mmap(-1, length, access=mmap.ACCESS_COPY)
            self._filled = 0
            self._buffer = bytearray(self._fill(self._body, bytes(self._buffer)))
        if self._filled < length:
            return None
        payload = self._body[:]
        self._body.close()
        self._body = self._length = None
        self._filled = 0
        return payload

    def _fill(self, body: mmap.mmap, data: bytes) -> bytes:
        """Writes the bytes that belong to the frame; returns those that follow it."""
        taken = data[: len(body) - self._filled]
        body[self._filled : self._filled + len(taken)] = taken
        self._filled += len(taken)
        return data[len(taken) :]


_FOREIGN = (
    *((method, "HTTP") for method in (b"GET ", b"POST", b"HEAD", b"PUT ", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC")),
    (b"PRI ", "HTTP"),
    (b"HTTP", "HTTP"),
    (b"<!DO", "HTTP"),
    (b"<!do", "HTTP"),
    (b"<htm", "HTTP"),
    (b"<HTM", "HTTP"),
    (b"\x16\x03", "TLS"),
    (b"\x15\x03", "TLS"),
    (b"SSH-", "SSH"),
    (b"220 ", "SMTP or FTP"),
    (b"220-", "SMTP or FTP"),
)
"""How other protocols begin, from either side. Read as lengths, these are at least 300 MB."""


def _check_length(length: int, max_frame: int) -> None:
    if length == 0:
        raise EmptyFrame("a frame of length 0 carries no message")
    if length > max_frame:
        first = _LENGTH.pack(length)
        foreign = next((name for begins, name in _FOREIGN if first.startswith(begins)), None)
        if foreign is not None:
            raise ForeignProtocol(f"this is {foreign}, not facewire's protocol", protocol=foreign)
        raise FrameTooLarge(f"a frame of {length} bytes is over the limit of {max_frame}")
