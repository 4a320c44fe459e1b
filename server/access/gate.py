"""From a token's text to a token, and from a request to a permit or a refusal."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

from facewire.protocol.messages import RequestBody
from facewire.protocol.rights import missing
from facewire.server.access.caller import Caller
from facewire.server.access.sight import check_sight
from facewire.server.access.token_file import TokenFile
from facewire.server.access.tokens import Token, master
from facewire.server.access.usage import Cost, Usage, cost_of
from facewire.server.errors import Forbidden, RequestError


@dataclass(frozen=True, slots=True)
class Permit:
    """A request may be served for `caller`; `end` is called once, when it was answered."""

    caller: Caller
    end: Callable[[], None]


class Gate:
    """Knows the token of FACEWIRE_TOKEN, those of a file, or none at all; then everybody may do everything."""

    def __init__(
        self, token: str | None = None, file: TokenFile | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._master = master(token) if token is not None else None
        self._file = file
        self._clock = clock
        self._usage = Usage()

    @property
    def asks_for_token(self) -> bool:
        """Must a connection send a token first?"""
        return self._master is not None or self._file is not None

    def find(self, digest: str) -> Token | None:
        """The token of this digest, if it is in force. Compares with every one, so the time tells nothing."""
        found = None
        for token in self._tokens():
            if hmac.compare_digest(token.digest, digest):
                found = token
        return None if found is None or found.is_over(self._clock()) else found

    def current(self, token: Token) -> Token | None:
        """The same token as it is now; None if it was revoked or has expired."""
        if self._master is not None and token.digest == self._master.digest:
            return token
        now = self._file.tokens().get(token.digest) if self._file is not None else None
        return None if now is None or now.is_over(self._clock()) else now

    def permit(self, body: RequestBody, caller: Caller, size: int) -> Permit:
        """`size`: bytes of the request. Raises Forbidden, Busy, UnknownPerson, UnknownAlbum."""
        token = caller.token
        if token is None:
            return Permit(caller, _nothing)
        try:
            if lacks := missing(body.needs, token.rights):
                raise Forbidden(f"token {token.name} may not {body.op}: that takes the right {lacks}")
            check_sight(body, token)
        except RequestError:
            self._usage.begin(token, Cost(0, size, 0))()  # each is a line in the logs, so they count, too
            raise
        return Permit(caller, self._usage.begin(token, cost_of(body, size)))

    def count_unreadable(self, caller: Caller, size: int) -> None:
        """Counts a request of `size` bytes that says nothing this server understands. Raises Busy."""
        if caller.token is not None:
            self._usage.begin(caller.token, Cost(0, size, 0))()

    def _tokens(self) -> list[Token]:
        listed = list(self._file.tokens().values()) if self._file is not None else []
        self._usage.keep_only(frozenset(token.digest for token in listed))
        return [*listed, *([self._master] if self._master is not None else [])]


def _nothing() -> None:
    return
