"""Answers of the API: results as JSON, and errors as JSON with a status and an error code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from facewire.client.errors import BadAnswer, ClientError, ConnectionLost, ServerRefused, ServerTimeout
from facewire.client.web.pool import Overloaded
from facewire.protocol.errors import ErrorCode, ProtocolError
from facewire.protocol.schema import to_plain


class CutOff(Exception):
    """The rest of an answer is unavailable. Aborts the connection, so that the answer does not look complete."""


FAILURES: tuple[type[Exception], ...] = (ClientError, ProtocolError, Overloaded)

# All codes of the wire. 502 and 504 mean that the server broke the protocol or did not answer; they never blame a
# request.
STATUS: Mapping[ErrorCode, int] = {
    ErrorCode.INVALID_REQUEST: 400,
    ErrorCode.BAD_MESSAGE: 400,
    ErrorCode.BAD_FRAME: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.INVALID_IMAGE: 422,
    ErrorCode.NO_FACE: 422,
    ErrorCode.SEVERAL_FACES: 422,
    ErrorCode.REJECTED: 422,
    ErrorCode.UNKNOWN_PERSON: 404,
    ErrorCode.UNKNOWN_TEMPLATE: 404,
    ErrorCode.UNKNOWN_ALBUM: 404,
    ErrorCode.EXISTS: 409,
    ErrorCode.CONFLICT: 409,
    ErrorCode.MODEL_MISMATCH: 409,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.INTERNAL: 500,
    ErrorCode.UNSUPPORTED_OP: 501,
    ErrorCode.BUSY: 503,
    ErrorCode.TIMEOUT: 504,
    ErrorCode.STORAGE: 507,
}


def result(answer: object) -> JSONResponse:
    """A result as JSON, with the keys of the wire."""
    return JSONResponse(plain(answer))


def plain(answer: object) -> Any:
    """A result as maps, lists and scalars, with the keys of the wire and without bytes."""
    return _without_bytes(to_plain(answer))


def error(status: int, code: str, message: str, retry_after_ms: int | None = None) -> JSONResponse:
    """An error as JSON for the page."""
    headers = {} if retry_after_ms is None else {"Retry-After": str(max(1, round(retry_after_ms / 1000)))}
    body = {"error": {"code": code, "message": message, "retry_after_ms": retry_after_ms}}
    return JSONResponse(body, status_code=status, headers=headers)


def failure(what: Exception) -> JSONResponse:
    """One of FAILURES as JSON for the page; code `offline` if the server can't be reached."""
    return error(*told(what))


def told(what: Exception) -> tuple[int, str, str, int | None]:
    """One of FAILURES as status, code, message and `retry_after_ms`."""
    if isinstance(what, ServerRefused):
        return STATUS[what.code], what.code, what.message, what.retry_after_ms
    if isinstance(what, ConnectionLost):
        return 503, "offline", str(what), None
    if isinstance(what, ServerTimeout):
        return 504, ErrorCode.TIMEOUT, str(what), None
    if isinstance(what, BadAnswer):
        return 502, "bad_answer", str(what), None
    if isinstance(what, Overloaded):
        return 503, ErrorCode.BUSY, str(what), 1000
    return 400, ErrorCode.INVALID_REQUEST, str(what), None  # a ProtocolError: refused before sending


def _without_bytes(value: Any) -> Any:
    """The same without bytes: pictures have their own URLs and are never sent in JSON."""
    if isinstance(value, bytes):
        return None
    if isinstance(value, dict):
        return {key: _without_bytes(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_bytes(item) for item in value]
    return value
