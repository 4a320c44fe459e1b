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
from collections.abc import Callable
from dataclasses import dataclass

LIFETIME_S = 12 * 3600.0  # a working day; then users must log in again
MAX_LOGINS = 1000


@dataclass(frozen=True, slots=True)
class Session:
    """`csrf`: the token required for changes; `token`: the server token with which this browser logged in, or None."""

    id: str
    csrf: str
    token: str | None


class Sessions:
    """All sessions. Used by the event loop's thread only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock
        # session id -> (token, time of login), least recently used first, so active sessions are not forgotten
        self._logins: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def new(self) -> Session:
        """A new session for a browser without one."""
        return self.find(secrets.token_urlsafe(32))

    def find(self, session_id: str) -> Session:
        """The session of a cookie."""
        csrf = hmac.new(self._key, session_id.encode(), hashlib.sha256).hexdigest()
        token, said = self._logins.get(session_id, (None, 0.0))
        if token is not None and self._clock() - said > LIFETIME_S:
            self.forget(session_id)
            token = None
        if token is not None:
            self._logins.move_to_end(session_id)
        return Session(session_id, csrf, token)

    def log_in(self, token: str) -> Session:
        """A session logged in with `token`, under a new id to prevent session fixation."""
        session_id = secrets.token_urlsafe(32)
        self._logins[session_id] = (token, self._clock())
        while len(self._logins) > MAX_LOGINS:
            self._logins.popitem(last=False)
        return self.find(session_id)

    def forget(self, session_id: str) -> None:
        """Log out."""
        self._logins.pop(session_id, None)
