"""Payloads to messages and back. The only module that imports msgpack.

Requests are read strictly: unknown keys are errors. Answers are read leniently, so that an older client works with a
newer server: unknown keys are ignored, but known ones must have the right type.

A payload is first checked to be one msgpack map within the limits, by its headers alone, before any object is built.
msgpack's own limits apply per container: arrays of arrays of empty maps stay below them and still turn 32 MiB into
gigabytes of Python objects. That pass counts every element, without recursion, and skips strings and binaries without
reading them, so a picture costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, cast

import msgpack  # type: ignore[import-untyped]  # ships no types

from facewire.protocol import gallery_messages, videos
from facewire.protocol.albums import adding, collection, correcting, drawing, enrolling, export, looking, search
from facewire.protocol.errors import BadMessage, ErrorCode, ProtocolError, UnsupportedOp
from facewire.protocol.messages import (
    Answer,
    Failure,
    Identify,
    Progress,
    Request,
    Success,
)
from facewire.protocol.schema import REQUEST_OF, A, Asks, answer_of, from_plain, to_plain, without_defaults

VOCABULARY = (gallery_messages, videos, adding, collection, correcting, drawing, enrolling, export, looking, search)
"""The modules besides `messages` whose requests are registered by importing them here."""

# `album.*` stands for the thirty operations on albums, to keep the error message short.
_KNOWN_OPS = ", ".join(dict.fromkeys(op if "." not in op else f"{op.partition('.')[0]}.*" for op in REQUEST_OF))
_SHOWN_OP = 32  # characters of an unknown op that an error message repeats


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds for a message. `depth`: nested containers; `elements`: values and keys in total; `container`:
    elements of an array, or entries of a map; `text` and `key`: bytes of UTF-8."""

    depth: int
    elements: int
    container: int
    text: int
    key: int


# A request is an op and a few fields (an enrolment has up to a hundred pictures); names and queries are below 4 KiB.
REQUEST_LIMITS = Limits(depth=8, elements=16_384, container=4_096, text=4_096, key=64)
# An answer may be large (100 faces with 100 candidates each: 10^5 elements), and clients choose their server.
ANSWER_LIMITS = Limits(depth=16, elements=2_000_000, container=500_000, text=65_536, key=1_024)


@dataclass(frozen=True, slots=True)
class RawSuccess:
    """A successful answer whose result is not typed yet, as only the client knows which operation `id` was. See
    `as_result`."""

    id: int
    result: Mapping[str, object]


def encode_request(request: Request) -> bytes:
    """Encodes a request as a payload for `decode_request`."""
    return _pack({"id": request.id, "op": request.body.op, **without_defaults(request.body)})


def decode_request(payload: bytes) -> Request:
    """Decodes the request in `payload`. Errors carry the request's id if it could be read.

    Raises BadMessage (no msgpack map, over a limit, a value of the wrong type), UnsupportedOp, and InvalidRequest
    (unknown or missing key, value out of range).
    """
    fields = _unpack(payload, REQUEST_LIMITS)
    request_id = _take_id(fields, default=0)
    op = fields.pop("op", Identify.op)
    if type(op) is not str:
        raise BadMessage("'op' must be a string", request_id=request_id)
    shape = REQUEST_OF.get(op)
    if shape is None:
        shown = op[:_SHOWN_OP]
        raise UnsupportedOp(f"unknown op '{shown}'; known: {_KNOWN_OPS}", request_id=request_id)
    try:
        return Request(request_id, from_plain(shape, fields, strict=True))
    except ProtocolError as error:
        error.request_id = request_id
        raise


def encode_answer(answer: Answer) -> bytes:
    """Encodes an answer as a payload for `decode_answer`."""
    if isinstance(answer, Success):
        return _pack({"id": answer.id, "ok": True, "result": to_plain(answer.result)})
    if isinstance(answer, Progress):
        counts = {"done": answer.done, "total": answer.total}
        return _pack({"id": answer.id, "progress": {**to_plain(answer.details), **counts}})
    error: dict[str, object] = {"code": str(answer.code), "message": answer.message}
    if answer.retry_after_ms is not None:
        error["retry_after_ms"] = answer.retry_after_ms
    return _pack({"id": answer.id, "ok": False, "error": error})


def decode_answer(payload: bytes) -> RawSuccess | Failure | Progress:
    """Decodes the answer in `payload`. Raises BadMessage if it is not one.

    An unknown error code is read as `internal`, with the code in the message.
    """
    fields = _unpack(payload, ANSWER_LIMITS)
    answer_id = _take_id(fields)
    try:
        if "progress" in fields:
            return _read_progress(answer_id, fields["progress"])
        if from_plain(bool, fields.get("ok"), strict=False):
            return RawSuccess(answer_id, from_plain(Mapping[str, object], fields.get("result"), strict=False))
        return _read_failure(answer_id, fields.get("error"))
    except ProtocolError as error:
        raise BadMessage(f"not an answer: {error}", request_id=answer_id) from error


def as_result(asked: type[Asks[A]], raw: RawSuccess) -> A:
    """Converts a raw answer to the type that answers `asked`. Raises BadMessage if it does not fit."""
    try:
        return cast(A, from_plain(answer_of(asked), dict(raw.result), strict=False))
    except ProtocolError as error:
        raise BadMessage(f"not an answer of {asked.op}: {error}", request_id=raw.id) from error


@dataclass(frozen=True, slots=True)
class _ErrorFields:
    code: str
    message: str
    retry_after_ms: int | None = None


def _read_failure(answer_id: int, value: object) -> Failure:
    error = from_plain(_ErrorFields, value, strict=False)
    try:
        code = ErrorCode(error.code)
    except ValueError:
        return Failure(answer_id, ErrorCode.INTERNAL, f"{error.code}: {error.message}", error.retry_after_ms)
    return Failure(answer_id, code, error.message, error.retry_after_ms)


def _read_progress(answer_id: int, value: object) -> Progress:
    details = from_plain(Mapping[str, object], value, strict=False)
    counts = {key: from_plain(int, details.pop(key, None), strict=False) for key in ("done", "total")}
    return Progress(answer_id, details=details, **counts)


def _pack(fields: dict[str, Any]) -> bytes:
    return cast(bytes, msgpack.packb(fields))


def _unpack(payload: bytes, limits: Limits) -> dict[str, Any]:
    check_limits(payload, limits)
    try:
        return cast(dict[str, Any], msgpack.unpackb(payload, object_pairs_hook=_unique_keys))
    except UnicodeDecodeError as error:
        raise BadMessage("a string is not UTF-8") from error


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadMessage("a key occurs twice")
    return fields


def _take_id(fields: dict[str, Any], default: int | None = None) -> int:
    number = fields.pop("id", default)
    if type(number) is not int or number < 0:
        raise BadMessage("'id' must be an unsigned integer")
    return number


# ---- limits


class _Kind(Enum):
    SCALAR = auto()
    TEXT = auto()
    BINARY = auto()
    ARRAY = auto()
    MAP = auto()
    REFUSED = auto()  # ext types and timestamps, used by no message, and the byte that msgpack leaves unused


def _describe(first: int) -> tuple[_Kind, int, int]:
    """Describes a value's first byte: (kind, size, number of bytes that hold the size instead)."""
    ranges = (
        (0x7F, (_Kind.SCALAR, 0, 0)),
        (0x8F, (_Kind.MAP, first & 0x0F, 0)),
        (0x9F, (_Kind.ARRAY, first & 0x0F, 0)),
        (0xBF, (_Kind.TEXT, first & 0x1F, 0)),
    )
    for last, meaning in ranges:
        if first <= last:
            return meaning
    if first >= 0xE0:
        return _Kind.SCALAR, 0, 0
    return _SINGLES.get(first, (_Kind.REFUSED, 0, 0))


_SINGLES = {
    0xC0: (_Kind.SCALAR, 0, 0),
    0xC2: (_Kind.SCALAR, 0, 0),
    0xC3: (_Kind.SCALAR, 0, 0),
    **{0xC4 + i: (_Kind.BINARY, 0, 1 << i) for i in range(3)},
    **{0xCA + i: (_Kind.SCALAR, 4 << i, 0) for i in range(2)},  # floats
    **{0xCC + i: (_Kind.SCALAR, 1 << i, 0) for i in range(4)},  # unsigned
    **{0xD0 + i: (_Kind.SCALAR, 1 << i, 0) for i in range(4)},  # signed
    **{0xD9 + i: (_Kind.TEXT, 0, 1 << i) for i in range(3)},
    **{0xDC + i: (_Kind.ARRAY, 0, 2 << i) for i in range(2)},
    **{0xDE + i: (_Kind.MAP, 0, 2 << i) for i in range(2)},
}
_MEANING = tuple(_describe(first) for first in range(256))


def check_limits(payload: bytes, limits: Limits) -> None:
    """Checks that `payload` is exactly one msgpack map within `limits`. Raises BadMessage with the position if not."""
    if not payload or _MEANING[payload[0]][0] is not _Kind.MAP:
        raise BadMessage("a message is one msgpack map")
    walk = _Walk(payload, limits)
    walk.run()
    if walk.at != len(payload):
        raise BadMessage(f"{len(payload) - walk.at} bytes follow the message")


class _Walk:
    """One pass over a payload. `open`: for each open container, how many values are left and whether it is a map."""

    def __init__(self, payload: bytes, limits: Limits) -> None:
        self.payload = payload
        self.limits = limits
        self.at = 0
        self.elements = 0
        self.open: list[tuple[int, bool]] = [(1, False)]

    def run(self) -> None:
        while self.open:
            missing, in_map = self.open.pop()
            if missing == 0:
                continue
            self.open.append((missing - 1, in_map))
            self._step(is_key=in_map and missing % 2 == 0)

    def _step(self, *, is_key: bool) -> None:
        start = self.at
        kind, size = self._header()
        if is_key and (kind is not _Kind.TEXT or size > self.limits.key):
            raise BadMessage(f"the key at byte {start} is not a string of at most {self.limits.key} bytes")
        if kind is _Kind.ARRAY or kind is _Kind.MAP:
            self._enter(kind, size, start)
            return
        if kind is _Kind.TEXT and size > self.limits.text:
            raise BadMessage(f"the string at byte {start} has {size} bytes, over the limit of {self.limits.text}")
        self._skip(size)

    def _header(self) -> tuple[_Kind, int]:
        kind, size, width = _MEANING[self.payload[self._skip(1)]]
        if kind is _Kind.REFUSED:
            raise BadMessage(f"byte {self.at - 1} begins a value that no message uses")
        if width:
            start = self._skip(width)
            size = int.from_bytes(self.payload[start : self.at], "big")
        return kind, size

    def _enter(self, kind: _Kind, size: int, start: int) -> None:
        if size > self.limits.container:
            raise BadMessage(f"the container at byte {start} claims {size} elements, over {self.limits.container}")
        values = 2 * size if kind is _Kind.MAP else size
        self.elements += values
        if self.elements > self.limits.elements:
            raise BadMessage(f"the message has more than {self.limits.elements} elements")
        self.open.append((values, kind is _Kind.MAP))
        if len(self.open) > self.limits.depth + 1:  # the first entry stands for the message itself
            raise BadMessage(f"the message is nested deeper than {self.limits.depth} levels")

    def _skip(self, count: int) -> int:
        """Skips `count` bytes and returns where they began."""
        start = self.at
        if start + count > len(self.payload):
            raise BadMessage("the message ends in the middle of a value")
        self.at = start + count
        return start
