"""Memory for incoming frames: one budget for all connections.

Memory for a large frame is reserved before the frame is read; until then its bytes stay in the peer's buffers. Small
frames need no reservation. When memory is short, slow frames are aborted, so one that never ends delays others by
only a few seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

_PHOTO = 1 / 32  # of the budget (8 of 256 MiB): frames up to this size count as photos, which have a reserved share
_FOR_ALL = 3 / 4  # of the budget; the rest is reserved for photos
_PATIENCE_S = 3.0  # a frame keeps its memory at least this long; on most lines a photo takes less


@dataclass(slots=True, eq=False)
class Room:
    """The memory reserved for one frame. `give_up` tells its connection to end."""

    size: int
    since: float
    give_up: Callable[[], object]
    asked: bool = False


class Buffers:
    """The budget, in bytes. Thread-safe."""

    def __init__(self, budget: int, patience_s: float = _PATIENCE_S) -> None:
        self._budget = budget
        self._patience_s = patience_s
        self._changed = threading.Condition()  # guards everything below
        self._rooms: dict[Room, None] = {}  # oldest first
        self._wanted: dict[Room, None] = {}
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes currently reserved."""
        with self._changed:
            return self._held

    def take(
        self, size: int, *, until: float, wanted: Callable[[], bool], give_up: Callable[[], object]
    ) -> Room | None:
        """Waits for memory. None if there is none by `until` (time.monotonic) or it is no longer `wanted`."""
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
        """Releases the memory of a frame that is complete or abandoned."""
        with self._changed:
            del self._rooms[room]
            self._held -= room.size
            self._changed.notify_all()

    def look_again(self) -> None:
        """Makes waiting calls of `take` check `wanted` again."""
        with self._changed:
            self._changed.notify_all()

    def _is_next(self, room: Room) -> bool:
        """Is there memory, and no smaller frame waiting? (Lock held, here and below.)"""
        smallest = min(self._wanted, key=lambda other: other.size)
        return smallest.size == room.size and (not self._held or self._held + room.size <= self._open_to(room))

    def _open_to(self, room: Room) -> float:
        return self._budget * (1.0 if room.size <= self._budget * _PHOTO else _FOR_ALL)

    def _until_one_gives_up(self) -> float:
        """Tells the oldest frame to give up once its time is up, unless enough are giving up already. Returns how many
        seconds to wait."""
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
