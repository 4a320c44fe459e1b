"""Limits on connections and requests, in total and per address; the slowest connection is closed first.

A connection that asks nothing, or sends its request slower than anybody's line is, never keeps out one that asks.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

_LOOK_S = 0.5  # between two looks for what is overdue


@dataclass(frozen=True, slots=True)
class Limits:
    """What browsers may take of the page. `share`: the part of the places that one address may have."""

    connections: int = 224  # below 256, all that a process may have open on some systems
    requests: int = 160  # under way at once; the connections beyond them are there to be told that it is full
    share: float = 0.5
    waiting_s: float = 10.0  # for a whole request head, from the connection's beginning or the last answer
    stall_s: float = 30.0  # that an upload may be behind `rate`, and a download may stand still
    socket_s: float = 60.0  # the same for the camera, whose page may lie in the background
    linger_s: float = 5.0  # without a byte of an upload that has had its answer already
    rate: int = 4096  # bytes a second: a tenth of what a bad telephone line takes


class Standing(IntEnum):
    """The state of a connection without work under way; the highest is closed first."""

    SLOW = 1  # sends its request, or takes its answer
    ANSWERED = 2  # still sends what was answered already
    IDLE = 3  # asks nothing


class Holder(Protocol):
    """A connection, as Places sees it."""

    @property
    def address(self) -> str:
        """As `address_of` gives it."""
        ...

    def standing(self, now: float) -> tuple[Standing, float] | None:
        """How it stands, and for how many seconds; None while only we are to blame for what it waits for."""
        ...

    def give_way(self) -> None:
        """Ends, with a word where one can still be said, and leaves its place at once."""
        ...

    def look(self, now: float) -> None:
        """Ends if it is overdue."""
        ...


class Pace:
    """Whether bytes come fast enough: each pays for some time, and none for the future."""

    def __init__(self, rate: int, now: float) -> None:
        self._rate = rate
        self._paid = now  # up to when

    def start(self, now: float) -> None:
        """Nothing is owed."""
        self._paid = now

    def pay(self, count: int, now: float) -> None:
        """`count` bytes came."""
        self._paid = min(now, self._paid + count / self._rate)

    def behind(self, now: float) -> float:
        """Seconds."""
        return now - self._paid


class Places:
    """Every place of one page. Used by the event loop's thread only."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._connections: set[Holder] = set()
        self._requests: Counter[str] = Counter()
        self._next_look: asyncio.TimerHandle | None = None

    def enter(self, holder: Holder) -> None:
        """A new connection; where all places are taken, another gives way."""
        limits = self.limits
        of_address = [other for other in self._connections if other.address == holder.address]
        if len(of_address) >= limits.connections * limits.share:
            self._make_room(of_address, *Standing)
        elif len(self._connections) >= limits.connections:
            self._make_room(self._connections, *Standing)
        self._connections.add(holder)
        if self._next_look is None:
            self._look_later()

    def leave(self, holder: Holder) -> None:
        """Its connection ends. Harmless when repeated."""
        self._connections.discard(holder)
        if not self._connections and self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    def begin(self, holder: Holder) -> bool:
        """Takes a place for a request; false where as many as may be are under way, and none of them is slow."""
        limits, address = self.limits, holder.address
        others = [other for other in self._connections if other is not holder]
        there_is_room = True
        if self._requests[address] >= limits.requests * limits.share:
            there_is_room = self._make_room([one for one in others if one.address == address], Standing.SLOW)
        elif self._requests.total() >= limits.requests:
            there_is_room = self._make_room(others, Standing.SLOW)
        if there_is_room:
            self._requests[address] += 1
        return there_is_room

    def end(self, holder: Holder) -> None:
        """The request that `begin` let in is done."""
        self._requests[holder.address] -= 1
        if not self._requests[holder.address]:
            del self._requests[holder.address]

    def _make_room(self, among: Collection[Holder], *standings: Standing) -> bool:
        now = asyncio.get_running_loop().time()
        stands = [(how, holder) for holder in among if (how := holder.standing(now)) and how[0] in standings]
        if not stands:
            return False
        _, slowest = max(stands, key=lambda one: one[0])
        slowest.give_way()
        return True

    def _look_later(self) -> None:
        self._next_look = asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        self._next_look = None
        for holder in list(self._connections):
            holder.look(now)
        if self._connections:
            self._look_later()


def address_of(peer: tuple[str, int] | None) -> str:
    """What counts as one address: an IPv4 address, or the network of an IPv6 one, which holders have whole."""
    if peer is None:
        return ""
    try:
        address = ipaddress.ip_address(peer[0].partition("%")[0])
    except ValueError:
        return peer[0]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
