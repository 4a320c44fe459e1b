"""Messages between the server and its decoding children: JSON, some bytes, and file descriptors.

The socket preserves message boundaries (SOCK_SEQPACKET), so a message arrives complete or not at all.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

INLINE = 64 * 1024
"""Bytes sent within a message; larger payloads use shared memory. A web page's photo fits; a socket holds 200 KiB."""

_LENGTH = struct.Struct("<I")
_LARGEST = _LENGTH.size + 8192 + INLINE

_MOST_FDS = 2

Message = dict[str, Any]


class Ended(Exception):
    """The other side hung up, or sent an unreadable message."""


def channel() -> tuple[socket.socket, socket.socket]:
    """Both ends of a new channel."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(to: socket.socket, message: Mapping[str, object], payload: bytes = b"", fds: Sequence[int] = ()) -> None:
    """Sends a message with at most INLINE bytes of `payload`. Raises Ended."""
    head = json.dumps(message).encode()
    try:
        socket.send_fds(to, [_LENGTH.pack(len(head)), head, payload], fds)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Ended from error


def receive(source: socket.socket) -> tuple[Message, bytes, list[int]]:
    """Message, payload, and file descriptors, which the caller must close. Raises Ended and TimeoutError."""
    try:
        data, fds, _, _ = socket.recv_fds(source, _LARGEST, _MOST_FDS, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError as error:
        raise Ended from error
    try:
        (length,) = _LENGTH.unpack_from(data)
        start = _LENGTH.size + length
        message = json.loads(data[_LENGTH.size : start])
        if not isinstance(message, dict):
            raise ValueError(message)
    except (struct.error, ValueError) as error:  # empty: the other side hung up
        for fd in fds:
            os.close(fd)
        raise Ended from error
    return message, data[start:], fds
