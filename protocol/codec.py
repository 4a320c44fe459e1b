"""Payloads to messages and back. The only module that imports msgpack.

Requests are read strictly: unknown keys are errors. Answers are read leniently, so that an older client works with a
newer server: unknown keys are ignored, but known ones must have the right type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgpack  # type: ignore[import-untyped]  # ships no types

from facewire.protocol import gallery_messages
from facewire.protocol.albums import adding, collection, correcting, enrolling, export, looking, search
from facewire.protocol.asks import REQUEST_OF, A, Asks, answer_of
from facewire.protocol.errors import BadMessage, ErrorCode, ProtocolError, UnsupportedOp
from facewire.protocol.limits import ANSWER_LIMITS, REQUEST_LIMITS, Limits, check_limits
from facewire.protocol.messages import (
    Answer,
    Failure,
    Identify,
    Progress,
    Request,
    Success,
)
from facewire.protocol.shapes import from_plain, to_plain, without_defaults

VOCABULARY = (gallery_messages, adding, collection, correcting, enrolling, export, looking, search)
"""The modules besides `messages` whose requests are registered by importing them here."""

# `album.*` stands for the thirty operations on albums, to keep the error message short.
_KNOWN_OPS = ", ".join(dict.fromkeys(op if "." not in op else f"{op.partition('.')[0]}.*" for op in REQUEST_OF))
_SHOWN_OP = 32  # characters of an unknown op that an error message repeats


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
