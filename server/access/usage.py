"""How much each token has asked lately, and when it may ask again. In memory: a restart forgives the day."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields

from facewire.protocol.albums.enrolling import AlbumEnrol
from facewire.protocol.gallery_messages import Enrol
from facewire.protocol.messages import RequestBody
from facewire.server.access.tokens import Limits, Token
from facewire.server.errors import Busy

_BURST = 2  # seconds' worth of requests at once
_DAY_S = 86_400
_PICTURES_AGAIN_MS = 500  # one of hundreds under way has ended by then


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request costs of a token's limits."""

    pictures: int
    size: int
    enrolments: int


def cost_of(body: RequestBody, size: int) -> Cost:
    """`size`: bytes of its frame."""
    values = [getattr(body, each.name) for each in fields(body)]  # type: ignore[arg-type]  # every request is one
    pictures = sum(len(_pictures_in(value)) for value in values)
    enrolments = pictures if isinstance(body, Enrol) else body.templates if isinstance(body, AlbumEnrol) else 0
    return Cost(pictures, size, enrolments)


def _pictures_in(value: object) -> tuple[object, ...]:
    if isinstance(value, bytes):
        return (value,)
    return value if isinstance(value, tuple) and value and isinstance(value[0], bytes) else ()


@dataclass(slots=True)
class _Used:
    left: float  # requests that may come at once
    refilled: float
    pictures: int = 0
    day: int = 0
    bytes_today: int = 0
    enrolments_today: int = 0


class Usage:
    """Counts for every token that has asked; there are no more than tokens. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, today: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._today = today
        self._lock = threading.Lock()  # guards _used
        self._used: dict[str, _Used] = {}  # by digest

    def begin(self, token: Token, cost: Cost) -> Callable[[], None]:
        """Counts a request; returns what to call at its end. Raises Busy over a limit, and counts nothing then."""
        limits = token.limits
        if limits is None:
            return _nothing
        with self._lock:
            used = self._refilled(token.digest, limits)
            self._check(token.name, used, limits, cost)
            used.left -= 1
            used.pictures += cost.pictures
            used.bytes_today += cost.size
            used.enrolments_today += cost.enrolments

        def end() -> None:
            with self._lock:
                used.pictures -= cost.pictures

        return end

    def keep_only(self, digests: frozenset[str]) -> None:
        """Forgets tokens that are gone."""
        with self._lock:
            self._used = {digest: used for digest, used in self._used.items() if digest in digests}

    def _refilled(self, digest: str, limits: Limits) -> _Used:
        now, most = self._clock(), float(_BURST * limits.requests_per_s)
        used = self._used.setdefault(digest, _Used(most, now))
        used.left = min(most, used.left + (now - used.refilled) * limits.requests_per_s)
        used.refilled = now
        day = int(self._today() // _DAY_S)
        if day > used.day:  # a clock set back gives no second day
            used.day, used.bytes_today, used.enrolments_today = day, 0, 0
        return used

    def _check(self, name: str, used: _Used, limits: Limits, cost: Cost) -> None:
        if used.left < 1:
            wait_ms = round(1000 * (1 - used.left) / limits.requests_per_s)
            raise Busy(f"token {name} may ask {limits.requests_per_s} times a second", retry_after_ms=max(1, wait_ms))
        if cost.pictures and used.pictures and used.pictures + cost.pictures > limits.pictures:
            raise Busy(f"token {name} may have {limits.pictures} pictures under way", retry_after_ms=_PICTURES_AGAIN_MS)
        for before, more, most, what in (
            (used.bytes_today, cost.size, limits.bytes_per_day, "bytes"),
            (used.enrolments_today, cost.enrolments, limits.enrolments_per_day, "pictures to enrol"),
        ):
            if more and before + more > most:
                midnight_s = _DAY_S - self._today() % _DAY_S
                raise Busy(
                    f"token {name} may send {most} {what} a day (UTC)", retry_after_ms=max(1, round(1000 * midnight_s))
                )


def _nothing() -> None:
    return
