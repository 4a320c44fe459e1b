"""What happens before a camera, as sinks are told it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from facewire.protocol.messages import EmotionAnswer
from facewire.protocol.schema import to_plain

Kind = Literal["appeared", "named", "stranger", "left", "camera_lost", "camera_back"]
KINDS: tuple[Kind, ...] = ("appeared", "named", "stranger", "left", "camera_lost", "camera_back")


@dataclass(frozen=True, slots=True)
class Event:
    """`time`: seconds since 1970; `at`: seconds into a file, None of a live camera; `track`: the number of the face's
    track, never used again in this run; `was`: whom the track was taken for before; `lasted`: of `left`, seconds that
    the face was there; `crop`: the track's best picture so far, a JPEG."""

    event: Kind
    camera: str
    time: float
    at: float | None = None
    track: int | None = None
    name: str | None = None
    stranger: bool = False
    similarity: float | None = None
    was: str | None = None
    lasted: float | None = None
    box: tuple[float, float, float, float] | None = None
    emotion: EmotionAnswer | None = None
    why: str | None = None
    crop: bytes | None = None

    def plain(self, *, crop: bool = False) -> dict[str, Any]:
        """As JSON shows it, without what is not known; `crop`: with the picture, in base64."""
        shown: dict[str, Any] = {"event": self.event, "camera": self.camera, "time": iso(self.time)}
        shown |= {
            "at": _short(self.at),
            "track": self.track,
            "name": self.name,
            "stranger": self.stranger or None,
            "similarity": _short(self.similarity),
            "was": self.was,
            "lasted": _short(self.lasted),
            "box": None if self.box is None else [round(value, 1) for value in self.box],
            "emotion": None if self.emotion is None else to_plain(self.emotion),
            "why": self.why,
        }
        if crop and self.crop is not None:
            shown["crop"] = base64.b64encode(self.crop).decode()
        return {key: value for key, value in shown.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Situation:
    """Who is there now. `people`: by name, sorted; `faces`: all, whoever they are; `online`: is the camera read?"""

    people: tuple[str, ...] = ()
    strangers: int = 0
    faces: int = 0
    online: bool = False


def iso(time: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
