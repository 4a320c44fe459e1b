"""A token: who has it, what it may do, and until when."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from facewire.protocol.rights import RIGHTS, Right
from facewire.protocol.settings import AT_LEAST_1, GIBIBYTE, GIBIBYTES, setting

MASTER = "FACEWIRE_TOKEN"
"""The name of the token in that variable."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one token may ask. The defaults are far above what one honest user does: a camera at 25 pictures a
    second, an upload of ten thousand photos, the enrolment of a whole school."""

    requests_per_s: int = setting(
        200, range=AT_LEAST_1, flag="--requests-per-second", help="requests a second; twice as many at once"
    )
    pictures: int = setting(256, range=AT_LEAST_1, help="pictures under way at a time, over all connections")
    bytes_per_day: int = setting(200 * GIBIBYTE, unit=GIBIBYTES, help="GiB of requests a day (UTC)")
    enrolments_per_day: int = setting(50_000, range=AT_LEAST_1, help="pictures to enrol a day (UTC)")


@dataclass(frozen=True, slots=True)
class Token:
    """`digest`: SHA-256 of its text, in hex; `expires`: seconds since 1970; `people`, `albums`: all that it sees; None:
    everything; `limits` None: none at all."""

    name: str
    digest: str
    rights: frozenset[Right] = frozenset(RIGHTS)
    created: float = 0.0
    expires: float | None = None
    people: frozenset[str] | None = None
    albums: frozenset[str] | None = None
    limits: Limits | None = field(default_factory=Limits)

    def is_over(self, now: float) -> bool:
        """Has it expired?"""
        return self.expires is not None and now >= self.expires


def digest_of(text: str) -> str:
    """What is kept of a token. It has 256 random bits, so nobody finds it by trying, and a fast hash is as good as a
    slow one (a slow one is for passwords that people think up)."""
    return hashlib.sha256(text.encode()).hexdigest()


def master(text: str) -> Token:
    """The token of FACEWIRE_TOKEN: every right and no limit, as it stands for all users of an unshared server."""
    return Token(MASTER, digest_of(text), limits=None)
