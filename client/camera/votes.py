"""Who a track is: its frames vote, so that one bad frame names nobody."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Final

from facewire.protocol.messages import EmotionAnswer, IdentifiedFace

REMEMBERED: Final = 30
"""Frames of a track that vote: the last ones, so that a track never grows, and can be corrected."""

STRANGER = ""
"""The vote for nobody who is enrolled."""

_EMOTION_KEPT = 0.8  # of what was felt before, a frame: smoothed over about five frames
_CERTAIN = 0.5  # as a frame's own emotion is, where the server's own limit is not known


@dataclass(frozen=True, slots=True)
class VoteRules:
    """When a vote is decided. `frames`: that name a person, at least; `share`: of all weight, that they need; `weight`:
    that they need together; the same with `stranger_` for nobody, which takes longer: a face that comes closer may be
    somebody yet."""

    frames: int = 3
    share: float = 0.6
    weight: float = 0.8
    stranger_frames: int = 8
    stranger_share: float = 0.8
    stranger_weight: float = 2.0


@dataclass(frozen=True, slots=True)
class _Vote:
    name: str | None  # STRANGER for nobody; None: the frame can't say
    weight: float
    similarity: float


class Votes:
    """The votes of one track, and what it felt."""

    def __init__(self, rules: VoteRules) -> None:
        self._rules = rules
        self._votes: deque[_Vote] = deque(maxlen=REMEMBERED)
        self._felt: dict[str, float] = {}
        self.threshold = 1.0
        """The similarity that its last frame needed for a match: from there on, two faces are one person's."""

    def add(self, face: IdentifiedFace, weight: float) -> None:
        """A frame's vote."""
        name = {"match": face.name, "unknown": STRANGER}.get(face.decision)
        self._votes.append(_Vote(name, weight, face.similarity or 0.0))
        self.threshold = face.threshold
        if face.emotion is not None:
            kept = _EMOTION_KEPT if self._felt else 0.0
            for label, score in face.emotion.scores.items():
                self._felt[label] = kept * self._felt.get(label, 0.0) + (1 - kept) * score

    def extend(self, later: Votes) -> None:
        """The votes of a track that turned out to be the same one, later."""
        self._votes.extend(later._votes)

    def decided(self) -> str | None:
        """A name, STRANGER, or None while it is open."""
        weights: dict[str | None, float] = defaultdict(float)
        frames: dict[str | None, int] = defaultdict(int)
        for vote in self._votes:
            weights[vote.name] += vote.weight
            frames[vote.name] += 1
        total = sum(weights.values())
        names = [name for name in weights if name is not None]
        if not names or total <= 0:
            return None
        best = max(names, key=weights.__getitem__)
        rules = self._rules
        needed = (
            (rules.stranger_frames, rules.stranger_share, rules.stranger_weight)
            if best == STRANGER
            else (rules.frames, rules.share, rules.weight)
        )
        met = frames[best] >= needed[0] and weights[best] >= needed[1] * total and weights[best] >= needed[2]
        return best if met else None

    def similarity(self, name: str) -> float:
        """The highest of the frames that voted for a name."""
        return max((vote.similarity for vote in self._votes if vote.name == name), default=0.0)

    def emotion(self) -> EmotionAnswer | None:
        """What the track feels, smoothed over its frames; None where no frame has said."""
        if not self._felt:
            return None
        label = max(self._felt, key=self._felt.__getitem__)
        scores = {name: round(score, 4) for name, score in self._felt.items()}
        return EmotionAnswer(label, scores[label], scores[label] >= _CERTAIN, scores)
