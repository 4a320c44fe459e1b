"""Who was there lately, so that nobody is said twice within a cool-down."""

from __future__ import annotations

from dataclasses import dataclass

from facewire.client.camera.tracks import Embedding, Track, alike
from facewire.client.camera.votes import STRANGER

_MOST = 256  # names, and strangers; those longest out of sight are forgotten first


@dataclass(slots=True)
class _Stranger:
    embedding: Embedding
    last: float


class Memory:
    """People by name and strangers by face, until they have been out of sight for `cooldown_s` seconds."""

    def __init__(self, cooldown_s: float) -> None:
        self._cooldown_s = cooldown_s
        self._names: dict[str, float] = {}  # in the order in which they were last seen
        self._strangers: list[_Stranger] = []

    def knows(self, track: Track, threshold: float, now: float) -> bool:
        """Was this one there lately? `threshold`: the similarity from which two faces are one person's."""
        self._forget(now)
        if track.who != STRANGER:
            return track.who in self._names
        return any(alike(known.embedding, track.embedding) >= threshold for known in self._strangers)

    def keep(self, track: Track, now: float) -> None:
        """This one is there now."""
        if track.who == STRANGER:
            self._keep_stranger(track.embedding, now)
        elif track.who is not None:
            self._names.pop(track.who, None)
            self._names[track.who] = now
        if len(self._names) > _MOST:
            del self._names[next(iter(self._names))]

    def _keep_stranger(self, embedding: Embedding | None, now: float) -> None:
        if embedding is None:
            return
        for known in self._strangers:
            if known.embedding is embedding:
                known.last = now
                return
        self._strangers.append(_Stranger(embedding, now))
        if len(self._strangers) > _MOST:
            self._strangers.remove(min(self._strangers, key=lambda known: known.last))

    def _forget(self, now: float) -> None:
        since = now - self._cooldown_s
        self._names = {name: last for name, last in self._names.items() if last >= since}
        self._strangers = [known for known in self._strangers if known.last >= since]
