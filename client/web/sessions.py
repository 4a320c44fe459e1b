"""Sessions: identify a browser and the token it logged in with.

A browser has a random number in a cookie that scripts can't read and other sites can't send. The CSRF token is derived
from it, so visitors take no memory until they log in.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass

from facewire.protocol.rights import RIGHTS

LIFETIME_S = 12 * 3600.0  # a working day; then users must log in again
MAX_LOGINS = 1000
_CSRF_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """`csrf`: the token required for changes; `token`: the server token with which this browser logged in, or None;
    `rights`: what it may do. They are for what is shown: the server decides at each request."""

    id: str
    csrf: str
    token: str | None
    rights: frozenset[str] = frozenset(RIGHTS)

    def masked_csrf(self) -> str:
        """The CSRF token under a random mask, and the mask: new each time, so that the length of a compressed page
        tells nothing about it (BREACH)."""
        mask, token = secrets.token_bytes(_CSRF_BYTES), bytes.fromhex(self.csrf)
        return (mask + _xor(mask, token)).hex()

    def is_csrf(self, said: str) -> bool:
        """Is this the token under some mask? Compares in constant time."""
        try:
            both = bytes.fromhex(said)
        except ValueError:
            return False
        mask, masked = both[:_CSRF_BYTES], both[_CSRF_BYTES:]
        return len(both) == 2 * _CSRF_BYTES and hmac.compare_digest(_xor(mask, masked).hex(), self.csrf)


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


class Sessions:
    """All sessions. Used by the event loop's thread only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock
        # session id -> (token, its rights, time of login), least recently used first, so active ones are not forgotten
        self._logins: OrderedDict[str, tuple[str, frozenset[str], float]] = OrderedDict()

    def new(self) -> Session:
        """A new session for a browser without one."""
        return self.find(secrets.token_urlsafe(32))

    def find(self, session_id: str) -> Session:
        """The session of a cookie."""
        csrf = hmac.new(self._key, session_id.encode(), hashlib.sha256).hexdigest()
        token, rights, said = self._logins.get(session_id, (None, frozenset(RIGHTS), 0.0))
        if token is not None and self._clock() - said > LIFETIME_S:
            self.forget(session_id)
            token, rights = None, frozenset(RIGHTS)
        if token is not None:
            self._logins.move_to_end(session_id)
        return Session(session_id, csrf, token, rights)

    def log_in(self, token: str, rights: Collection[str] = RIGHTS) -> Session:
        """A session logged in with `token`, under a new id to prevent session fixation."""
        session_id = secrets.token_urlsafe(32)
        self._logins[session_id] = (token, frozenset(rights), self._clock())
        while len(self._logins) > MAX_LOGINS:
            self._logins.popitem(last=False)
        return self.find(session_id)

    def forget(self, session_id: str) -> None:
        """Log out."""
        self._logins.pop(session_id, None)
