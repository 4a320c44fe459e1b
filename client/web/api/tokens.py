"""The caller's token, handed through to the server: `Authorization: Bearer TOKEN`."""

from __future__ import annotations

from starlette.requests import Request

from facewire.client.web.bodies import BodyError

_MAX_TOKEN = 1000  # characters; the wire takes 4 KiB


def token_of(request: Request) -> str | None:
    """The token, None without one. Raises BodyError."""
    said = request.headers.get("authorization")
    if said is None:
        return None
    scheme, _, token = said.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN:
        raise BodyError(401, "unauthorized", "send the token as 'Authorization: Bearer TOKEN'")
    return token
