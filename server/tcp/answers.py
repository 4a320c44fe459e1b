"""Encodes the outcome of a request: maps errors to codes, and logs and counts every request."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from facewire.protocol.codec import encode_answer
from facewire.protocol.errors import ErrorCode, RequestRefused
from facewire.protocol.messages import Detected, Embedded, Failure, Identified, Result, Success
from facewire.server.access.audit import AuditLog
from facewire.server.errors import (
    AlreadyExists,
    BadRequest,
    Busy,
    Conflict,
    Forbidden,
    InvalidImage,
    InvalidName,
    ModelMismatch,
    NoFace,
    OverLimit,
    Rejected,
    RequestError,
    SeveralFaces,
    StorageFailed,
    TimedOut,
    UnknownAlbum,
    UnknownPerson,
    UnknownTemplate,
    VideosNotRead,
)
from facewire.server.reply import Reply
from facewire.server.tcp.metrics import Metrics

_requests = logging.getLogger("facewire.request")
_bugs = logging.getLogger("facewire.dispatch")

# tests/unit/test_dispatch.py checks that every error is listed.
CODE_OF: Mapping[type[RequestError], ErrorCode] = {
    InvalidImage: ErrorCode.INVALID_IMAGE,
    VideosNotRead: ErrorCode.UNSUPPORTED_OP,
    NoFace: ErrorCode.NO_FACE,
    SeveralFaces: ErrorCode.SEVERAL_FACES,
    Rejected: ErrorCode.REJECTED,
    UnknownPerson: ErrorCode.UNKNOWN_PERSON,
    UnknownTemplate: ErrorCode.UNKNOWN_TEMPLATE,
    AlreadyExists: ErrorCode.EXISTS,
    InvalidName: ErrorCode.INVALID_REQUEST,
    Conflict: ErrorCode.CONFLICT,
    StorageFailed: ErrorCode.STORAGE,
    UnknownAlbum: ErrorCode.UNKNOWN_ALBUM,
    BadRequest: ErrorCode.INVALID_REQUEST,
    OverLimit: ErrorCode.TOO_LARGE,
    ModelMismatch: ErrorCode.MODEL_MISMATCH,
    TimedOut: ErrorCode.TIMEOUT,
    Busy: ErrorCode.BUSY,
    Forbidden: ErrorCode.FORBIDDEN,
}


class Answers:
    """Encodes answers. Thread-safe; never raises."""

    def __init__(self, metrics: Metrics, audit: AuditLog | None = None) -> None:
        self.metrics = metrics
        self._audit = audit

    def encoded(self, reply: Reply, outcome: Result | Exception | None) -> bytes | None:
        """The encoded answer to `reply`, or None if there is nothing to send."""
        request = reply.request
        if outcome is None:
            self._record(reply, "gone")
            self.metrics.dropped(request.body.op)
            fields = {"request": request.id, "op": request.body.op, "outcome": "dropped"}
            _requests.info("id=%d op=%s dropped: its connection is gone", request.id, request.body.op, extra=fields)
            return None
        if isinstance(outcome, Exception):
            return self._failure(reply, outcome)
        try:
            answer = encode_answer(Success(request.id, outcome))
        except Exception as error:  # noqa: BLE001 - a bug of ours: tell the client, keep serving the others
            return self._failure(reply, error)
        self._record(reply, "ok", outcome)
        now = time.monotonic()
        self.metrics.answered(request.body.op, now - reply.arrived)
        elapsed_ms = (now - reply.started) * 1000
        _requests.info(
            "id=%d op=%s faces=%s ms=%.1f", request.id, request.body.op, _faces_in(outcome), elapsed_ms,
            extra={"request": request.id, "op": request.body.op, "outcome": "ok", "ms": round(elapsed_ms, 1)},
        )  # fmt: skip
        return answer

    def refusal(
        self, request_id: int, code: ErrorCode, message: str, op: str = "-", retry_after_ms: int | None = None
    ) -> bytes:
        """An encoded failure, counted and logged; `op` is "-" if it is not known."""
        self.metrics.error(op, code)
        fields = {"request": request_id, "op": op, "outcome": str(code)}
        _requests.info("id=%d op=%s refused: %s", request_id, op, code, extra=fields)
        return encode_answer(Failure(request_id, code, message, retry_after_ms))

    def _record(self, reply: Reply, outcome: str, result: Result | None = None) -> None:
        if self._audit is not None:
            self._audit.record(reply, outcome, result, time.monotonic() - reply.started)

    def _failure(self, reply: Reply, error: Exception) -> bytes:
        request = reply.request
        op = request.body.op
        self._record(reply, _code_of_any(error))
        if isinstance(error, RequestError):
            return self.refusal(request.id, code_of(error), str(error), op, getattr(error, "retry_after_ms", None))
        if isinstance(error, RequestRefused):
            return self.refusal(request.id, error.code, str(error), op)
        _bugs.error("id=%d op=%s failed", request.id, op, exc_info=error)
        return self.refusal(request.id, ErrorCode.INTERNAL, "the server failed; see its log", op)


def code_of(error: RequestError) -> ErrorCode:
    """The wire code of this error."""
    return next((CODE_OF[kind] for kind in type(error).__mro__ if kind in CODE_OF), ErrorCode.INTERNAL)


def _code_of_any(error: Exception) -> ErrorCode:
    if isinstance(error, RequestError):
        return code_of(error)
    return error.code if isinstance(error, RequestRefused) else ErrorCode.INTERNAL


def _faces_in(result: Result) -> int | str:
    return len(result.faces) if isinstance(result, (Identified, Detected, Embedded)) else "-"
