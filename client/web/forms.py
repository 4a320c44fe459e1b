"""Forms with files (multipart/form-data), read into memory as they arrive."""

from __future__ import annotations

import sys

from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.types import Message

from facewire.client.web.bodies import BodyError

MAX_BOUNDARY = 70  # characters: RFC 2046


async def read_form(request: Request, limit: int, *, max_files: int, max_fields: int) -> FormData:
    """The parts of a form of at most `limit` bytes. Raises BodyError."""
    kind, _, boundary = request.headers.get("content-type", "").partition("boundary=")
    boundary = boundary.partition(";")[0].strip(' "')
    if kind.partition(";")[0].strip().lower() != "multipart/form-data" or not 0 < len(boundary) <= MAX_BOUNDARY:
        raise BodyError(415, "invalid_request", "this must be sent as multipart/form-data, with its boundary")
    # Pass on only the boundary: an invalid charset would crash the parser
    headers = Headers({"Content-Type": f'multipart/form-data; boundary="{boundary}"'})
    stream = Request(request.scope, _Limited(request, limit)).stream()
    parser = _InMemory(headers, stream, max_files=max_files, max_fields=max_fields, max_part_size=limit)
    try:
        form = await parser.parse()
    except MultiPartException as reason:
        raise BodyError(400, "invalid_request", reason.message) from None
    if not parser.ended:
        parser.close()
        raise BodyError(400, "invalid_request", "the form ends before its last boundary")
    return form


class _InMemory(MultiPartParser):
    """Never writes pictures to disk; `_Limited` and BodyBudget bound the memory."""

    spool_max_size = sys.maxsize
    ended = False  # has the last boundary arrived?

    def on_end(self) -> None:
        self.ended = True

    def close(self) -> None:
        """Frees all files, also one that has not ended."""
        for file in self._files_to_close_on_error:
            file.close()


class _Limited:
    """`receive` that refuses more than `limit` bytes in all."""

    def __init__(self, request: Request, limit: int) -> None:
        self._receive = request.receive
        self._left = limit

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise BodyError(413, "too_large", "these pictures are too large together; send fewer or smaller ones")
        return message
