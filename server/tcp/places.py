"""Connection limits: places for members, separate places for strangers, and eviction when they are full.

A connection is a stranger until it has sent its first request (or the token, if there is one), and until then can only
hold a stranger's place. Then it becomes a member; if all members' places are taken, the member idle longest is evicted.
A connection with work under way is never evicted.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from facewire.server.tcp.descriptors import Room

_SHARE = 0.5  # of the places: an address holding more than this loses connections first
_LOOK_S = 0.1  # polling interval: nothing signals that a member fell idle or its frame grew old


class Guest(Protocol):
    """A connection as seen by `Places`. No method blocks."""

    @property
    def network(self) -> str:
        """The network it comes from (see `tokens.network_of`)."""
        ...

    def quiet_since(self) -> tuple[bool, float] | None:
        """(is it in the middle of a frame, idle since when), or None if it may not be evicted."""
        ...

    def give_way(self, *, unheard: bool = False) -> bool:
        """Ends the connection and tells the client why, if it is still idle; with `unheard`, even if unread data has
        arrived."""
        ...


class Places:
    """Admits and releases connections. Thread-safe; calls guests with its lock held."""

    def __init__(self, room: Room, *, per_address: int | None, changed: Callable[[int], None]) -> None:
        """`room`: number of places; `per_address`: most members per address; `changed` is called with the number
        taken."""
        self._most_members = room.members
        self._most_strangers = room.strangers
        self._most_leaving = room.leaving
        self._per_address = per_address
        self._tell = changed
        self._changed = threading.Condition()  # guards the next three; notified when one leaves
        self._members: set[Guest] = set()
        self._strangers: dict[Guest, None] = {}  # in order of arrival
        self._leaving: set[Guest] = set()  # evicted but not gone yet: they hold threads, but no place

    @property
    def all_taken(self) -> str:
        """Error message for a connection that gets no place."""
        return f"all {self._most_members} connections are in use, and each has a request in progress"

    def enter(self, guest: Guest) -> bool:
        """Admits a new connection as a stranger. False if there is no place."""
        with self._changed:
            if len(self._strangers) >= self._most_strangers and not self._free_a_strangers_place():
                return False
            self._strangers[guest] = None
            self._count()
            return True

    def admit(self, guest: Guest, wait_s: float, wanted: Callable[[], bool]) -> bool:
        """Makes a stranger a member, after waiting `wait_s` at most. False if there is no place, or it is no longer
        `wanted`."""
        until = time.monotonic() + wait_s
        with self._changed:
            while wanted():
                if self._seat(guest):
                    return True
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, _LOOK_S))
            return False

    def leave(self, guest: Guest) -> None:
        """Releases the place of an ended connection."""
        with self._changed:
            self._members.discard(guest)
            self._strangers.pop(guest, None)
            self._leaving.discard(guest)
            self._count()
            self._changed.notify_all()

    # ------------------------------------------------------------------------------ with the lock held

    def _free_a_strangers_place(self) -> bool:
        """Evicts the oldest stranger of the address that has most, so no address can shut out another. It can't even
        shut out its own clients, because they send their token at once."""
        held = Counter(stranger.network for stranger in self._strangers)
        oldest_first = sorted(self._strangers, key=lambda stranger: -held[stranger.network])
        # Unread bytes may be a token, so those go last; but if all have unread bytes, the oldest have had their time.
        return self._first_to_go(oldest_first) or self._first_to_go(oldest_first, unheard=True)

    def _seat(self, guest: Guest) -> bool:
        held = Counter(member.network for member in self._members)
        if self._per_address is not None and held[guest.network] >= self._per_address:
            if not self._silent_goes(member for member in self._members if member.network == guest.network):
                return False
        elif len(self._members) >= self._most_members:
            share = self._most_members * _SHARE
            greedy = [member for member in self._members if held[member.network] > share]
            if not self._silent_goes(greedy) and not self._silent_goes(self._members):
                return False
        self._strangers.pop(guest, None)
        self._members.add(guest)
        self._count()
        return True

    def _silent_goes(self, guests: Iterable[Guest]) -> bool:
        silent = {guest: quiet for guest in guests if (quiet := guest.quiet_since()) is not None}
        return self._first_to_go(sorted(silent, key=lambda guest: silent[guest]))

    def _first_to_go(self, guests: Iterable[Guest], *, unheard: bool = False) -> bool:
        if len(self._leaving) >= self._most_leaving:
            return False
        for guest in guests:
            if guest.give_way(unheard=unheard):
                self._members.discard(guest)
                self._strangers.pop(guest, None)
                self._leaving.add(guest)
                return True
        return False

    def _count(self) -> None:
        self._tell(len(self._members) + len(self._strangers))
