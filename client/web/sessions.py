"""Who a browser is, and which token it has said.

A browser holds a random number in a cookie that scripts can't read and other sites can't send. From it the CSRF token
is computed, so a visitor costs the page no memory until they log in.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

LIFETIME_S = 12 * 3600.0  # a working day; then the token is asked for again
MAX_LOGINS = 1000


@dataclass(frozen=True, slots=True)
class Session:
    """`csrf`: what every change must carry; `token`: what this browser has said to the server, if anything."""

    id: str
    csrf: str
    token: str | None


class Sessions:
    """Every session; used by the event loop's thread only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock
        # session id -> token, when it was said; that which has asked last stands last, so the active are not forgotten
        self._logins: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def new(self) -> Session:
        """For a browser without one."""
        return self.find(secrets.token_urlsafe(32))

    def find(self, session_id: str) -> Session:
        """The session of that cookie."""
        csrf = hmac.new(self._key, session_id.encode(), hashlib.sha256).hexdigest()
        token, said = self._logins.get(session_id, (None, 0.0))
        if token is not None and self._clock() - said > LIFETIME_S:
            self.forget(session_id)
            token = None
        if token is not None:
            self._logins.move_to_end(session_id)
        return Session(session_id, csrf, token)

    def log_in(self, token: str) -> Session:
        """A new session (its number was known to nobody before) that has said `token`."""
        session_id = secrets.token_urlsafe(32)
        self._logins[session_id] = (token, self._clock())
        while len(self._logins) > MAX_LOGINS:
            self._logins.popitem(last=False)
        return self.find(session_id)

    def forget(self, session_id: str) -> None:
        """Log out."""
        self._logins.pop(session_id, None)
