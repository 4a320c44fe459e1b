"""Who may be connected: places for those who may ask, places of their own for strangers, and who gives way.

A full server prefers those who ask. A new connection is a stranger until its first request is here, or its token where
there is one: all it can hold is a stranger's place. Then it takes a place among those who ask, and the connection that
has been silent longest gives way to it; one with work under way never does.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

_SHARE = 0.5  # of the places: who holds more of them gives way first
_LOOK_S = 0.1  # a member falls silent, or its frame grows old, without a word
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

    def give_way(self, *, unheard: bool = False) -> bool:
        """It ends and says why, if it is still quiet; with `unheard` also where something of it has arrived."""
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
        self._tell = changed
        self._changed = threading.Condition()  # guards the three below; notified when one leaves
        self._members: set[Guest] = set()
        self._strangers: dict[Guest, None] = {}  # in the order they came
        self._leaving: set[Guest] = set()  # told to give way and not gone yet: they hold no place, but threads

    @property
    def all_taken(self) -> str:
        """Why there is no place for a connection."""
        return f"all {self._most_members} connections are taken, and each has asked for something"

    def enter(self, guest: Guest) -> bool:
        """A new connection, a stranger; False where there is no place for it."""
        with self._changed:
            if len(self._strangers) >= self._most_strangers and not self._free_a_strangers_place():
                return False
            self._strangers[guest] = None
            self._count()
            return True

    def admit(self, guest: Guest, wait_s: float, wanted: Callable[[], bool]) -> bool:
        """A stranger has asked; False where there is no place for it among those who ask, or it is not `wanted` in."""
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
        """It has ended."""
        with self._changed:
            self._members.discard(guest)
            self._strangers.pop(guest, None)
            self._leaving.discard(guest)
            self._count()
            self._changed.notify_all()

    # ------------------------------------------------------------------------------ with the lock held

    def _free_a_strangers_place(self) -> bool:
        """The oldest of the address that has most of them goes: nobody shuts out another address, and in vain its own,
        for who knows the token says it at once."""
        held = Counter(stranger.network for stranger in self._strangers)
        oldest_first = sorted(self._strangers, key=lambda stranger: -held[stranger.network])
        # Bytes that were not read yet may be a token; where everybody sends some, the oldest ones had their time.
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
        if len(self._leaving) >= MOST_LEAVING:
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
