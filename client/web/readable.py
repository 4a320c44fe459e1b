"""Errors for people: whoever navigates to something that fails sees a page in words, never the API's JSON."""

from __future__ import annotations

import json

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facewire.client.web.rendering import TEMPLATES

_RAW = ("application/json", "text/plain")
_UNKNOWN = "The page's gateway failed; its log says why."


class Readable:
    """ASGI middleware around the page: turns JSON and plain text with a status of 400 or more into HTML, for requests
    by which a browser navigates."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _navigates(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        held: Message | None = None
        body = bytearray()

        async def send_readable(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _is_raw_error(message):
                held = message
            elif held is None or message["type"] != "http.response.body":
                await send(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    await _send_page(send, held, bytes(body))

        await self.app(scope, receive, send_readable)


def _navigates(headers: Headers) -> bool:
    mode = headers.get("sec-fetch-mode")
    return mode == "navigate" if mode is not None else "text/html" in headers.get("accept", "")


def _is_raw_error(start: Message) -> bool:
    return start["status"] >= 400 and Headers(raw=start["headers"]).get("content-type", "").startswith(_RAW)


async def _send_page(send: Send, start: Message, body: bytes) -> None:
    page = TEMPLATES.get_template("refused.html").render(problem=_words(body)).encode()
    headers = MutableHeaders(raw=list(start["headers"]))
    headers["content-type"] = "text/html; charset=utf-8"
    headers["content-length"] = str(len(page))
    await send({**start, "headers": headers.raw})
    await send({"type": "http.response.body", "body": page})


def _words(body: bytes) -> str:
    """The message of an error in the API's form."""
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return _UNKNOWN
    return f"{message[:1].upper()}{message[1:]}." if isinstance(message, str) and message else _UNKNOWN
