"""Protocol errors and error codes.

    ProtocolError
    |-- FrameError                     the peer broke the framing; the connection closes
    |   |-- FrameTooLarge   too_large    a declared length over the limit (raised before any payload is read)
    |   |   +-- ForeignProtocol          the start of another protocol, read as a length
    |   |-- EmptyFrame      bad_frame    a frame of length 0
    |   +-- TruncatedFrame  bad_frame    the peer stopped in the middle of a frame
    |-- BadMessage          bad_message  not msgpack, not a map, too deep, wrong types; the connection closes
    +-- RequestRefused                 a well-formed request that can't be served; the connection stays open
        |-- UnsupportedOp   unsupported_op
        +-- InvalidRequest  invalid_request  unknown or missing key, value out of range

`ErrorCode` is the complete list of codes that an answer may carry.
"""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """All values of `error.code` in wire version 1."""

    BAD_FRAME = "bad_frame"
    BAD_MESSAGE = "bad_message"
    TOO_LARGE = "too_large"
    UNSUPPORTED_OP = "unsupported_op"
    INVALID_REQUEST = "invalid_request"
    INVALID_IMAGE = "invalid_image"
    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    REJECTED = "rejected"
    UNKNOWN_PERSON = "unknown_person"
    UNKNOWN_TEMPLATE = "unknown_template"
    UNKNOWN_ALBUM = "unknown_album"
    EXISTS = "exists"
    CONFLICT = "conflict"
    BUSY = "busy"
    TIMEOUT = "timeout"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    MODEL_MISMATCH = "model_mismatch"
    STORAGE = "storage"
    INTERNAL = "internal"


class ProtocolError(Exception):
    """Base of all errors about a peer's bytes."""

    code: ErrorCode = ErrorCode.BAD_MESSAGE
    request_id: int = 0

    def __init__(self, message: str, *, request_id: int = 0) -> None:
        super().__init__(message)
        self.request_id = request_id


class FrameError(ProtocolError):
    """The framing is broken, and nothing after this point can be decoded."""

    code = ErrorCode.BAD_FRAME


class FrameTooLarge(FrameError):
    """A frame declares more bytes than the limit."""

    code = ErrorCode.TOO_LARGE


class ForeignProtocol(FrameTooLarge):
    """The bytes of a frame's length are the start of another protocol, called `protocol`."""

    def __init__(self, message: str, *, protocol: str) -> None:
        super().__init__(message)
        self.protocol = protocol


class EmptyFrame(FrameError):
    """A frame of length 0 carries no message."""


class TruncatedFrame(FrameError):
    """The peer ended its stream in the middle of a frame."""


class BadMessage(ProtocolError):
    """A frame's payload is not one msgpack map of the right types."""


class RequestRefused(ProtocolError):
    """The request was decoded but can't be served; the connection stays open."""

    code = ErrorCode.INVALID_REQUEST


class UnsupportedOp(RequestRefused):
    """No such operation."""

    code = ErrorCode.UNSUPPORTED_OP


class InvalidRequest(RequestRefused):
    """A key is unknown or missing, or a value is out of range."""
