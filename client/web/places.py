"""Limits on connections and requests, in total and per address; the slowest connection is closed first.

An idle connection, or one that sends its request slower than any real line, never keeps out an active one.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

_LOOK_S = 0.5  # between checks for overdue connections


@dataclass(frozen=True, slots=True)
class Limits:
    """The page's limits for browsers. `share`: the fraction of places that one address may use."""

    connections: int = 224  # below 256, the limit of open files on some systems
    requests: int = 160  # under way at once; connections beyond that are told that the page is full
    share: float = 0.5
    waiting_s: float = 10.0  # for a complete request head, since connecting or the last answer
    stall_s: float = 30.0  # how long an upload may lag behind `rate`, or a download may stall
    socket_s: float = 60.0  # the same for the camera, whose page may be in the background
    linger_s: float = 5.0  # without a byte of an upload that was already answered
    rate: int = 4096  # bytes a second: a tenth of a bad phone line's speed


class Standing(IntEnum):
    """The state of a connection without work under way; the highest is closed first."""

    SLOW = 1  # sending its request or reading its answer
    ANSWERED = 2  # still sending a request that was already answered
    IDLE = 3  # no request


class Holder(Protocol):
    """A connection as seen by `Places`."""

    @property
    def address(self) -> str:
        """As returned by `address_of`."""
        ...

    def standing(self, now: float) -> tuple[Standing, float] | None:
        """Its state and for how many seconds; None while it is waiting for us."""
        ...

    def give_way(self) -> None:
        """Closes, with an error message if possible, and leaves its place at once."""
        ...

    def look(self, now: float) -> None:
        """Closes if overdue."""
        ...


class Pace:
    """Checks that bytes arrive fast enough. Each byte pays for some time, but never in advance."""

    def __init__(self, rate: int, now: float) -> None:
        self._rate = rate
        self._paid = now  # time paid up to

    def start(self, now: float) -> None:
        """Starts without debt."""
        self._paid = now

    def pay(self, count: int, now: float) -> None:
        """Credits `count` received bytes."""
        self._paid = min(now, self._paid + count / self._rate)

    def behind(self, now: float) -> float:
        """Seconds that the transfer is behind."""
        return now - self._paid


class Places:
    """All places of the page. Used by the event loop's thread only."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._connections: set[Holder] = set()
        self._requests: Counter[str] = Counter()
        self._next_look: asyncio.TimerHandle | None = None

    def enter(self, holder: Holder) -> None:
        """Admits a new connection; if all places are taken, evicts another."""
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
        """Releases a connection's place. Harmless when repeated."""
        self._connections.discard(holder)
        if not self._connections and self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    def begin(self, holder: Holder) -> bool:
        """Takes a place for a request. False if all are taken and none of them is slow."""
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
        """Releases the place of a request admitted by `begin`."""
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
    """The address that limits apply to: an IPv4 address, or the network of an IPv6 address, which one client
    controls."""
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
