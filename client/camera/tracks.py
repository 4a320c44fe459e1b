"""Which face of a frame continues which track: by overlap, and by the name where people cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.client.camera.picture import Box
from facewire.client.camera.votes import Votes
from facewire.protocol.messages import IdentifiedFace

Embedding = NDArray[np.float32]

MOST_TRACKS = 64
"""Faces that are followed at a time, the largest first."""

_REACH = 0.5  # of a face, by which its box is enlarged: at 5 frames a second, a walker moves half a face
_OVERLAP = 0.12  # of two enlarged boxes, for one face
_NAME = 0.4  # what the same name adds to an overlap, and another name takes off
_UNKNOWN = 0.1  # what a face without a name takes off that of a track with one


@dataclass(slots=True, eq=False)
class Track:
    """One face, as long as it is there. `looks` counts the frames with it, `missed` those since without it; `who`: a
    name, votes.STRANGER or None; `crop`: the picture of the frame whose vote weighed most."""

    number: int
    box: Box
    born: float
    votes: Votes
    last: float
    looks: int = 0
    missed: int = 0
    speed: tuple[float, float] = (0.0, 0.0)  # pixels a second
    who: str | None = None
    embedding: Embedding | None = None
    crop: bytes | None = None
    crop_weight: float = 0.0

    def expected(self, now: float) -> Box:
        """Where it should be, if it goes on as it did."""
        x, y, width, height = self.box
        ahead = min(now - self.last, 1.0)
        return x + self.speed[0] * ahead, y + self.speed[1] * ahead, width, height

    def seen(self, box: Box, now: float) -> None:
        """It is in this frame."""
        if (passed := now - self.last) > 0:
            across, down = (_middle(box, axis) - _middle(self.box, axis) for axis in (0, 1))
            self.speed = ((self.speed[0] + across / passed) / 2, (self.speed[1] + down / passed) / 2)
        self.box = box
        self.last = now
        self.looks += 1
        self.missed = 0


def overlap(one: Box, other: Box, reach: float = 0.0) -> float:
    """Intersection over union of two boxes, each enlarged by `reach` of its size."""
    (a, b, c, d), (e, f, g, h) = _corners(one, reach), _corners(other, reach)
    shared = max(0.0, min(c, g) - max(a, e)) * max(0.0, min(d, h) - max(b, f))
    both = (c - a) * (d - b) + (g - e) * (h - f) - shared
    return shared / both if both > 0 else 0.0


def pair(tracks: Sequence[Track], faces: Sequence[IdentifiedFace], now: float) -> dict[int, Track]:
    """The track that each face continues, by the face's index; best pairs first."""
    scores = [
        (score, index, track)
        for index, face in enumerate(faces)
        for track in tracks
        if (score := _score(track, face, now)) >= _OVERLAP
    ]
    paired: dict[int, Track] = {}
    taken: set[int] = set()
    for _, index, track in sorted(scores, key=lambda scored: -scored[0]):
        if index not in paired and track.number not in taken:
            paired[index] = track
            taken.add(track.number)
    return paired


def alike(one: Embedding | None, other: Embedding | None) -> float:
    """The cosine of two embeddings; -1 where one is missing."""
    if one is None or other is None or one.shape != other.shape:
        return -1.0
    return float(one @ other)


def _score(track: Track, face: IdentifiedFace, now: float) -> float:
    """Overlap, corrected by the name. After a frame without it, only its name or its embedding brings a track back:
    somebody else may stand there by now."""
    score = overlap(track.expected(now), face.box, _REACH)
    if track.who and track.who == face.name:
        return score + _NAME if score else 0.0
    if track.missed:
        return 0.0
    if track.who and face.name is not None:
        return score - _NAME
    return score - _UNKNOWN if track.who and face.decision == "unknown" else score


def _middle(box: Box, axis: int) -> float:
    return box[axis] + box[axis + 2] / 2


def _corners(box: Box, reach: float) -> tuple[float, float, float, float]:
    x, y, width, height = box
    return x - reach * width, y - reach * height, x + (1 + reach) * width, y + (1 + reach) * height
