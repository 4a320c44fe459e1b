"""Who may be connected: places for those who may ask, places of their own for strangers, and who gives way.

A full server prefers those who ask. The connection that has been silent longest gives way to a new one; one with work
under way never does. Strangers are those who have not said the token yet, where there is one: all they can hold is
strangers' places.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

_SHARE = 0.5  # of the places: who holds more of them gives way first
MOST_LEAVING = 64  # told to give way and still there, for their last answer or a thread's turn: milliseconds each


class Guest(Protocol):
    """A connection, as the places see it. Neither blocks."""

    @property
    def network(self) -> str:
        """Where it comes from."""
        ...

    def quiet_since(self) -> tuple[bool, float] | None:
        """Whether it is in the middle of a frame, and since when it has been silent; None if it may not give way."""
        ...

    def give_way(self) -> bool:
        """It ends, if it is quiet still, and says why."""
        ...


class Places:
    """Takes connections in and lets them go. Thread-safe; calls guests with its lock held."""

    def __init__(
        self, members: int, strangers: int, *, per_address: int | None, changed: Callable[[int], None]
    ) -> None:
        """`members`, `strangers`: places; `per_address`: of members, at most; `changed` is told how many are taken."""
        self._most_members = members
        self._most_strangers = strangers
        self._per_address = per_address
        self._changed = changed
        self._lock = threading.Lock()  # guards the three below
        self._members: set[Guest] = set()
        self._strangers: dict[Guest, None] = {}  # in the order they came
        self._leaving: set[Guest] = set()  # told to give way and not gone yet: they hold no place, but threads

    @property
    def members(self) -> int:
        """Places for those who may ask."""
        return self._most_members

    def enter(self, guest: Guest, *, stranger: bool) -> bool:
        """A new connection; False where there is no place for it."""
        with self._lock:
            return self._receive(guest) if stranger else self._seat(guest)

    def admit(self, guest: Guest) -> bool:
        """A stranger has said the token; False where there is no place for it among those who may ask."""
        with self._lock:
            if guest in self._members:
                return True
            if not self._seat(guest):
                return False
            self._strangers.pop(guest, None)
            return True

    def leave(self, guest: Guest) -> None:
        """It has ended."""
        with self._lock:
            self._members.discard(guest)
            self._strangers.pop(guest, None)
            self._leaving.discard(guest)
            self._count()

    # ------------------------------------------------------------------------------ with the lock held

    def _receive(self, guest: Guest) -> bool:
        if len(self._strangers) >= self._most_strangers and not self._free_a_strangers_place():
            return False
        self._strangers[guest] = None
        self._count()
        return True

    def _free_a_strangers_place(self) -> bool:
        """The oldest of the address that has most of them goes: nobody shuts out another address, and in vain its own,
        for who knows the token says it at once."""
        held = Counter(stranger.network for stranger in self._strangers)
        oldest_first = sorted(self._strangers, key=lambda stranger: -held[stranger.network])
        return self._first_to_go(oldest_first)

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
        self._members.add(guest)
        self._count()
        return True

    def _silent_goes(self, guests: Iterable[Guest]) -> bool:
        silent = {guest: quiet for guest in guests if (quiet := guest.quiet_since()) is not None}
        return self._first_to_go(sorted(silent, key=lambda guest: silent[guest]))

    def _first_to_go(self, guests: Iterable[Guest]) -> bool:
        if len(self._leaving) >= MOST_LEAVING:
            return False
        for guest in guests:
            if guest.give_way():
                self._members.discard(guest)
                self._strangers.pop(guest, None)
                self._leaving.add(guest)
                return True
        return False

    def _count(self) -> None:
        self._changed(len(self._members) + len(self._strangers))
