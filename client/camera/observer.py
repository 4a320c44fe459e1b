"""Turns the answers to a camera's frames into events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from facewire.client.camera.events import Event, Kind, Situation
from facewire.client.camera.memory import Memory
from facewire.client.camera.picture import Picture
from facewire.client.camera.tracks import MOST_TRACKS, Embedding, Track, alike, overlap, pair
from facewire.client.camera.votes import STRANGER, VoteRules, Votes
from facewire.protocol.messages import EmbeddedFace, Identified, IdentifiedFace

Embed = Callable[[], tuple[EmbeddedFace, ...]]
"""Asks for the embeddings of the frame's faces; empty where the server has none to give."""

_CONFIRMED = 2  # frames with a face before it has appeared: a pattern of leaves is a face once
_SAME_BOX = 0.8  # of overlap: the same face in two answers to one picture
_LONG = 5  # times `gone_s`: a face has left, even if nobody has looked since


@dataclass(frozen=True, slots=True)
class Rules:
    """`gone_s`: seconds out of sight after which a face has left; `cooldown_s`: seconds out of sight before a person,
    or a stranger, is said again; `record`: keep crops."""

    gone_s: float = 3.0
    cooldown_s: float = 60.0
    record: bool = True
    votes: VoteRules = field(default_factory=VoteRules)


class Observer:
    """Follows faces and says what happens. Times are seconds of one clock; `wall`: the same moment since 1970."""

    def __init__(self, camera: str, rules: Rules, *, live: bool) -> None:
        self._camera = camera
        self._rules = rules
        self._live = live
        self._numbers = count(1)
        self._tracks: list[Track] = []
        self._memory = Memory(rules.cooldown_s)

    def see(self, answer: Identified, picture: Picture, embed: Embed, now: float, wall: float) -> list[Event]:
        """A frame was answered."""
        faces = answer.faces[:MOST_TRACKS]
        paired = pair(self._tracks, faces, now)
        for track in self._tracks:
            track.missed += 1
        events: list[Event] = []
        here: list[tuple[Track, IdentifiedFace]] = []
        for index, face in enumerate(faces):
            continued = paired.get(index) or self._new(face, now)
            if continued is not None:
                self._take(continued, face, picture, now)
                here.append((continued, face))
        asked = _Once(embed)
        for track, face in here:
            events += self._confirm(track, face, asked, now, wall)
        for track in [track for track in self._tracks if track.missed == 0 and track.looks >= _CONFIRMED]:
            events += self._decide(track, now, wall)
        return events + self.tick(now, wall)

    def tick(self, now: float, wall: float) -> list[Event]:
        """Time has passed: who has left?"""
        gone_s = self._rules.gone_s
        gone = [
            track
            for track in self._tracks
            if now - track.last > gone_s and (track.missed >= 2 or now - track.last > _LONG * gone_s)
        ]
        return self._leave(gone, now, wall)

    def finish(self, now: float, wall: float) -> list[Event]:
        """There will be no more frames: everybody leaves."""
        return self._leave(list(self._tracks), now, wall)

    def situation(self, *, online: bool) -> Situation:
        """Who is there."""
        there = [track for track in self._tracks if track.looks >= _CONFIRMED]
        names = {track.who for track in there if track.who}
        strangers = sum(track.who == STRANGER for track in there)
        return Situation(tuple(sorted(names)), strangers, len(there), online)

    def shown(self, answer: Identified) -> Identified:
        """The answer with what its tracks have decided, in place of what this frame said."""
        faces = []
        for face in answer.faces:
            track = next((track for track in self._tracks if track.missed == 0 and track.box == face.box), None)
            if track is None or track.who is None:
                faces.append(replace(face, decision="ambiguous", name=None, emotion=None))
            elif track.who == STRANGER:
                faces.append(replace(face, decision="unknown", name=None, emotion=track.votes.emotion()))
            else:
                faces.append(replace(face, decision="match", name=track.who, emotion=track.votes.emotion()))
        return replace(answer, faces=tuple(faces))

    # ------------------------------------------------------------------------------------------ one track

    def _new(self, face: IdentifiedFace, now: float) -> Track | None:
        if len(self._tracks) >= MOST_TRACKS:
            return None
        track = Track(next(self._numbers), face.box, now, Votes(self._rules.votes), now)
        self._tracks.append(track)
        return track

    def _take(self, track: Track, face: IdentifiedFace, picture: Picture, now: float) -> None:
        weight = picture.weight(face)
        track.seen(face.box, now)
        track.votes.add(face, weight)
        if self._rules.record and weight > track.crop_weight:
            track.crop = picture.crop(face.box)
            track.crop_weight = weight

    def _confirm(self, track: Track, face: IdentifiedFace, asked: _Once, now: float, wall: float) -> list[Event]:
        """At its second frame a face has appeared, unless it is one that was out of sight for a moment."""
        if track.looks != _CONFIRMED:
            return []
        track.embedding = asked.embedding(face)
        lost = [other for other in self._tracks if other.missed and other.embedding is not None]
        former = max(lost, key=lambda other: alike(other.embedding, track.embedding), default=None)
        if former is not None and alike(former.embedding, track.embedding) >= face.threshold:
            self._tracks.remove(track)
            former.seen(face.box, now)
            former.speed = track.speed
            former.votes.extend(track.votes)
            return []
        return [self._event("appeared", track, now, wall)]

    def _decide(self, track: Track, now: float, wall: float) -> list[Event]:
        who = track.votes.decided()
        if who == STRANGER and track.who:
            who = track.who  # a face that turns away is still the person that it was
        if who is None or who == track.who:
            self._memory.keep(track, now)
            return []
        was, track.who = track.who, who
        known = self._memory.knows(track, track.votes.threshold, now)
        self._memory.keep(track, now)
        if known:
            return []
        return [self._event("stranger" if who == STRANGER else "named", track, now, wall, was=was or None)]

    def _leave(self, gone: list[Track], now: float, wall: float) -> list[Event]:
        for track in gone:
            self._tracks.remove(track)
        return [self._event("left", track, now, wall) for track in gone if track.looks >= _CONFIRMED]

    def _event(self, kind: Kind, track: Track, now: float, wall: float, *, was: str | None = None) -> Event:
        name = track.who or None
        return Event(
            kind, self._camera, wall, None if self._live else now, track.number, name,
            stranger=track.who == STRANGER,
            similarity=track.votes.similarity(name) if name else None,
            was=was,
            lasted=track.last - track.born if kind == "left" else None,
            box=track.box,
            emotion=track.votes.emotion(),
            crop=track.crop,
        )  # fmt: skip


class _Once:
    """Asks for a frame's embeddings once, if at all."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._faces: tuple[EmbeddedFace, ...] | None = None

    def embedding(self, face: IdentifiedFace) -> Embedding | None:
        """That of a face; None where the server gave none."""
        if self._faces is None:
            self._faces = self._embed()
        same = max(self._faces, key=lambda other: overlap(other.box, face.box), default=None)
        if same is None or overlap(same.box, face.box) < _SAME_BOX:
            return None
        return np.frombuffer(same.embedding, "<f4")
