"""Memory for frames that are still arriving: one budget for all connections.

A large frame has its room before it is read; until then its bytes wait in the peer's own buffers. Small frames need
none. Where room is wanted, a frame that takes long gives its own up: one that never ends costs others some seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

_PHOTO = 1 / 32  # of the budget (8 of 256 MiB): what is no larger is a photo, and has a share for itself
_FOR_ALL = 3 / 4  # of the budget; the rest is for photos, whatever larger frames hold
_PATIENCE_S = 3.0  # a frame has its room for so long, whoever waits for it: a photo takes less on most lines


@dataclass(slots=True, eq=False)
class Room:
    """A frame's share of the memory. `give_up` tells its connection to end."""

    size: int
    since: float
    give_up: Callable[[], object]
    asked: bool = False


class Buffers:
    """The budget, in bytes. Thread-safe."""

    def __init__(self, budget: int, patience_s: float = _PATIENCE_S) -> None:
        self._budget = budget
        self._patience_s = patience_s
        self._changed = threading.Condition()  # guards all below
        self._rooms: dict[Room, None] = {}  # the oldest first
        self._wanted: dict[Room, None] = {}
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes given out now."""
        with self._changed:
            return self._held

    def take(
        self, size: int, *, until: float, wanted: Callable[[], bool], give_up: Callable[[], object]
    ) -> Room | None:
        """Waits for room; None when there is none by `until` (time.monotonic), or nothing is `wanted` any more."""
        room = Room(size, 0.0, give_up)
        with self._changed:
            self._wanted[room] = None
            try:
                while wanted():
                    if self._is_next(room):
                        room.since = time.monotonic()
                        self._rooms[room] = None
                        self._held += size
                        return room
                    left = until - time.monotonic()
                    if left <= 0:
                        return None
                    self._changed.wait(min(left, self._until_one_gives_up()))
                return None
            finally:
                del self._wanted[room]
                self._changed.notify_all()

    def give_back(self, room: Room) -> None:
        """The frame is whole, or will never be."""
        with self._changed:
            del self._rooms[room]
            self._held -= room.size
            self._changed.notify_all()

    def look_again(self) -> None:
        """Whoever waits asks again whether it is still wanted."""
        with self._changed:
            self._changed.notify_all()

    def _is_next(self, room: Room) -> bool:
        """Is there room, and nobody waiting who needs less? (With the lock held, as below.)"""
        smallest = min(self._wanted, key=lambda other: other.size)
        return smallest.size == room.size and (not self._held or self._held + room.size <= self._open_to(room))

    def _open_to(self, room: Room) -> float:
        return self._budget * (1.0 if room.size <= self._budget * _PHOTO else _FOR_ALL)

    def _until_one_gives_up(self) -> float:
        """Asks the oldest to go, once its time is up, if that many are not going yet; gives the seconds to wait."""
        smallest = min(self._wanted, key=lambda other: other.size)
        staying = self._held - sum(room.size for room in self._rooms if room.asked)
        oldest = next((room for room in self._rooms if not room.asked), None)
        if oldest is None or staying + smallest.size <= self._open_to(smallest):
            return self._patience_s
        left = oldest.since + self._patience_s - time.monotonic()
        if left > 0:
            return left
        oldest.asked = True
        oldest.give_up()
        return 0.0
