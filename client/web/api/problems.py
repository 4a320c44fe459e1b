"""Errors as RFC 9457 problem documents that carry the wire's code."""

from __future__ import annotations

from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from facewire.client.web.answers import told

PREFIX = "/api/v1"
"""Where the API is: below this, errors are problem documents."""

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """RFC 9457. `code`: the wire's error code, or `offline` (the server can't be reached) or `bad_answer`; `detail`: an
    explanation; `retry_after_ms`: when to try again."""

    model_config = ConfigDict(title="Problem")
    type: str = Field(description="always about:blank; see `status` and `code`")
    title: str
    status: int
    detail: str
    code: str
    retry_after_ms: int | None = None


def problem(status: int, code: str, detail: str, retry_after_ms: int | None = None) -> JSONResponse:
    """An error as an answer."""
    headers = {} if retry_after_ms is None else {"Retry-After": str(max(1, round(retry_after_ms / 1000)))}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    content = plain(status, code, detail, retry_after_ms)
    return JSONResponse(content, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def plain(status: int, code: str, detail: str, retry_after_ms: int | None = None) -> dict[str, object]:
    """The document."""
    said = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, "code": code}
    return said if retry_after_ms is None else {**said, "retry_after_ms": retry_after_ms}


def failure(what: Exception) -> JSONResponse:
    """One of answers.FAILURES as an answer."""
    return problem(*told(what))
