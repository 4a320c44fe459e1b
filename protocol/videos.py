"""Who is in a video, and when?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from facewire.protocol.messages import MAX_CANDIDATES, Candidate, Decision, ImageSize
from facewire.protocol.rights import Needs, any_of
from facewire.protocol.schema import Asks, Range

MAX_PEOPLE = 200  # in an answer; with a picture of each, they fit a frame


@dataclass(frozen=True, slots=True)
class IdentifyVideo(Asks["VideoIdentified"]):
    """Who is in this video, and when? `video`: the bytes of a video file (formats.py); `k`: candidates per person.
    Progress is reported: the seconds looked at so far."""

    op: ClassVar[str] = "identify_video"
    needs: ClassVar[Needs] = any_of("identify")
    repeatable: ClassVar[bool] = True
    video: bytes
    k: Annotated[int, Range(1, MAX_CANDIDATES)] = 1


@dataclass(frozen=True, slots=True)
class BestFace:
    """A person's best face. `at`: at which second; `box`: x, y, width, height in pixels of the video as shown;
    `picture`: a JPEG of the face."""

    at: float
    box: tuple[float, float, float, float]
    detection: float
    picture: bytes


@dataclass(frozen=True, slots=True)
class VideoPerson:
    """A person in a video. `decision` to `candidates`: as of `identify`, about the mean of their faces; `seen`: from
    when to when, in seconds; `frames`: in how many of those looked at."""

    decision: Decision
    name: str | None
    similarity: float | None
    distance: float | None
    threshold: float
    margin: float | None
    false_match: float | None
    candidates: tuple[Candidate, ...]
    seen: tuple[tuple[float, float], ...]
    frames: int
    best: BestFace


@dataclass(frozen=True, slots=True)
class VideoIdentified:
    """Answer of `identify_video`: the people in the order in which they appear, a stranger with all their faces as one.

    `people`: those seen in most frames if there are more than MAX_PEOPLE; `seconds`: the video's length; `image`: as
    shown; `frames`: how many were looked at; `scenes`: where each begins, in seconds; `timing_ms`: `watch` (decoding,
    detection and embedding), `search` and `total`.
    """

    people: tuple[VideoPerson, ...]
    seconds: float
    image: ImageSize
    frames: int
    scenes: tuple[float, ...]
    model: str
    timing_ms: Mapping[str, float]
