"""The shared vocabulary: every request and every answer of wire version 1, typed and frozen.

Requests check their own ranges (`InvalidRequest`); their types are checked by the codec when they come off the wire.
Names of fields are the keys of the wire. Pixels are those of the image as shown (EXIF orientation applied). The
operations on the gallery and on albums have modules of their own (gallery_messages, albums/).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from facewire.protocol.asks import Asks, Range
from facewire.protocol.errors import ErrorCode

Decision = Literal["match", "unknown", "ambiguous"]

MAX_CANDIDATES = 100  # `k` of identify: more than a person can compare by eye, small enough to sort for free
FMR_RANGE = (0.000001, 0.1)  # of `verify`: below, nobody has measured; above, one in ten strangers is the same
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


# ---------------------------------------------------------------------------------------------- requests


@dataclass(frozen=True, slots=True)
class Identify(Asks["Identified"]):
    """Who is in this picture? `image`: the bytes of a picture file (formats.py); `k`: candidates wanted a face."""

    op: ClassVar[str] = "identify"
    image: bytes
    k: Annotated[int, Range(1, MAX_CANDIDATES)] = 1
    emotion: bool = True


@dataclass(frozen=True, slots=True)
class Detect(Asks["Detected"]):
    """Where are the faces in this picture?"""

    op: ClassVar[str] = "detect"
    image: bytes


@dataclass(frozen=True, slots=True)
class Embed(Asks["Embedded"]):
    """The faces' embeddings, for those who search elsewhere."""

    op: ClassVar[str] = "embed"
    image: bytes


@dataclass(frozen=True, slots=True)
class Verify(Asks["Verified"]):
    """Do these two pictures show one person? Of several faces the largest central one counts, or the one at a point
    (x, y): `at` of `image`, `other_at` of `other`.

    `fmr`: how often two different people, of people at large, may be called the same; None: as the server is set.
    Both are embedded as enrolled pictures are: they may change places.
    """

    op: ClassVar[str] = "verify"
    image: bytes
    other: bytes
    fmr: Annotated[float | None, Range(*FMR_RANGE)] = None
    at: tuple[float, float] | None = None
    other_at: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Ping(Asks["Pong"]):
    """Is the connection alive?"""

    op: ClassVar[str] = "ping"


@dataclass(frozen=True, slots=True)
class Health(Asks["HealthReport"]):
    """Can the server do its work? Runs one real inference."""

    op: ClassVar[str] = "health"


@dataclass(frozen=True, slots=True)
class Stats(Asks["StatsReport"]):
    """Counters since the server started."""

    op: ClassVar[str] = "stats"


@dataclass(frozen=True, slots=True)
class Hello(Asks["Welcome"]):
    """The token, first, where the server asks for one."""

    op: ClassVar[str] = "hello"
    token: str


RequestBody = Asks[Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it travels: the peer's number for it, and what is asked."""

    id: int
    body: RequestBody


# ---------------------------------------------------------------------------------------------- answers


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Pixels, as shown."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """An enrolled person who may be the probe; `image` is the enrolled picture that came closest."""

    name: str
    similarity: float
    distance: float
    image: str


@dataclass(frozen=True, slots=True)
class EmotionAnswer:
    """The whole distribution, its largest entry, and whether that entry reaches the model's stated confidence."""

    label: str
    confidence: float
    certain: bool
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DetectedFace:
    """`box`: x, y, width, height; `landmarks`: right eye, left eye, nose, right and left mouth corner, as (x, y).

    `turned`: degrees clockwise, 0 to 315 in steps of 45, by which the picture must be turned for the face to stand
    upright; box and landmarks are of the picture as it was sent.
    """

    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]
    detection: float
    turned: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class EmbeddedFace(DetectedFace):
    """`embedding`: unit length, float32, little endian."""

    embedding: bytes


@dataclass(frozen=True, slots=True)
class IdentifiedFace(DetectedFace):
    """`name` is None unless the decision is `match`; `similarity` is the best candidate's, None in an empty gallery.

    `threshold`: the similarity that this face must have to its best candidate to be a match; `margin`: similarity
    less threshold; `false_match`: how likely it is that a stranger has a candidate as near as this.
    """

    decision: Decision
    name: str | None
    similarity: float | None
    distance: float | None
    threshold: float
    margin: float | None
    false_match: float | None
    candidates: tuple[Candidate, ...]
    emotion: EmotionAnswer | None


@dataclass(frozen=True, slots=True)
class Identified:
    """Answer of `identify`; faces come largest first, and a picture without faces has none."""

    faces: tuple[IdentifiedFace, ...]
    image: ImageSize
    model: str
    timing_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Detected:
    """Answer of `detect`."""

    faces: tuple[DetectedFace, ...]
    image: ImageSize
    timing_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Embedded:
    """Answer of `embed`."""

    faces: tuple[EmbeddedFace, ...]
    image: ImageSize
    model: str
    dimension: int
    timing_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class FacesSeen:
    """The faces of a picture, largest first, as boxes, and which of them was taken: its index."""

    boxes: tuple[tuple[float, float, float, float], ...]
    taken: int


@dataclass(frozen=True, slots=True)
class Verified:
    """Answer of `verify`; `same` is `similarity >= threshold`, which is these two faces' own.

    `margin`: similarity less threshold. Two different people are as similar as this: of people at large
    `false_match_at_large` often, of people of one sex, age and appearance `false_match` often. `same` is also
    `false_match_at_large <= fmr`. What has a default is not said by servers that are older than it.
    """

    same: bool
    similarity: float
    distance: float
    threshold: float
    margin: float
    false_match: float
    model: str
    fmr: float | None = None
    false_match_at_large: float | None = None
    image: FacesSeen | None = None
    other: FacesSeen | None = None


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer of `ping`. `version`: the wire's; `server`: facewire's, where the server runs it; "" from older ones."""

    version: int = 1
    server: str = ""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Answer of `health`: `inference_ms` is a real forward pass through every network. `reason`: why it is not
    `healthy`, and what to do; pictures are still answered then."""

    healthy: bool
    model: str
    runtime: str
    inference_ms: float
    people: int
    templates: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StatsReport:
    """Answer of `stats`; `requests` and `errors` count by op and by error code. `server`: as in `Pong`."""

    uptime_s: float
    connections: int
    requests: Mapping[str, int]
    errors: Mapping[str, int]
    faces: int
    people: int
    templates: int
    model: str
    memory_mb: float
    server: str = ""


@dataclass(frozen=True, slots=True)
class Welcome:
    """Answer of `hello`."""

    version: int = 1


Result = object  # an instance of `answer_of` its request


@dataclass(frozen=True, slots=True)
class Success:
    """The request `id` was served."""

    id: int
    result: Result


@dataclass(frozen=True, slots=True)
class Failure:
    """The request `id` was not served; id 0 also stands for "the request could not be read"."""

    id: int
    code: ErrorCode
    message: str
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """A sign of life of a long operation; its answer is still to come."""

    id: int
    done: int
    total: int
    details: Mapping[str, object] = field(default_factory=dict)


Answer = Success | Failure | Progress
