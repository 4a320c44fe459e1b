"""Requests and answers of wire version 1, as frozen dataclasses.

Requests check their own ranges (`InvalidRequest`); the codec checks types when it decodes them. Field names are the
keys on the wire. Pixels are those of the upright image (EXIF orientation applied). Operations on the gallery and on
albums are in gallery_messages and albums/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from facewire.protocol.errors import ErrorCode
from facewire.protocol.rights import NOTHING, RIGHTS, Needs, any_of
from facewire.protocol.schema import FLOATS, Asks, Range

Decision = Literal["match", "unknown", "ambiguous"]

Recipe = Literal["own", "deepface", "deepface_unaligned", "deepface_whole"]
"""How `embed` cuts out a face and feeds it to the network: as the gallery's embeddings are made; as DeepFace does, with
the eyes levelled or without; or as DeepFace feeds a whole picture (its detector `skip`)."""

MAX_CANDIDATES = 100  # `k` of identify: more than anybody can compare by eye, few enough to sort for free
FMR_RANGE = (0.000001, 0.1)  # of `verify`: lower is not measured; higher, one in ten strangers would match
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


# ---------------------------------------------------------------------------------------------- requests


@dataclass(frozen=True, slots=True)
class Identify(Asks["Identified"]):
    """Who is in this picture? `image`: the bytes of a picture file (formats.py); `k`: candidates per face."""

    op: ClassVar[str] = "identify"
    needs: ClassVar[Needs] = any_of("identify")
    repeatable: ClassVar[bool] = True
    image: bytes
    k: Annotated[int, Range(1, MAX_CANDIDATES)] = 1
    emotion: bool = True


@dataclass(frozen=True, slots=True)
class Detect(Asks["Detected"]):
    """Where are the faces in this picture?"""

    op: ClassVar[str] = "detect"
    needs: ClassVar[Needs] = any_of("identify")
    repeatable: ClassVar[bool] = True
    image: bytes


@dataclass(frozen=True, slots=True)
class Embed(Asks["Embedded"]):
    """The faces' embeddings, for searching elsewhere.

    `recipe`: other than `own`, they are DeepFace's, comparable with those and not with the gallery's.
    """

    op: ClassVar[str] = "embed"
    needs: ClassVar[Needs] = any_of("identify")
    repeatable: ClassVar[bool] = True
    image: bytes
    recipe: Recipe = "own"


@dataclass(frozen=True, slots=True)
class Verify(Asks["Verified"]):
    """Do these two pictures show the same person? Of several faces, the largest central one is compared, or the one at
    a point (x, y): `at` in `image`, `other_at` in `other`.

    `fmr`: the rate at which two different people at large may be called the same; None: the server's setting. Both are
    embedded like enrolled pictures, so their order does not matter.
    """

    op: ClassVar[str] = "verify"
    needs: ClassVar[Needs] = any_of("identify")
    repeatable: ClassVar[bool] = True
    image: bytes
    other: bytes
    fmr: Annotated[float | None, Range(*FMR_RANGE)] = None
    at: tuple[float, float] | None = None
    other_at: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class VerifyPerson(Asks["PersonVerified"]):
    """Is this the enrolled person `name`? Only they are compared. Of several faces, the largest central one is taken,
    or the one at the point `at`.

    `fmr`: the rate at which a stranger may pass as this person; None: the server's setting.
    """

    op: ClassVar[str] = "verify_person"
    needs: ClassVar[Needs] = any_of("identify")
    repeatable: ClassVar[bool] = True
    name: str
    image: bytes
    fmr: Annotated[float | None, Range(*FMR_RANGE)] = None
    at: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Ping(Asks["Pong"]):
    """Is the connection alive?"""

    op: ClassVar[str] = "ping"
    needs: ClassVar[Needs] = NOTHING
    repeatable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Health(Asks["HealthReport"]):
    """Does the server work? Runs one real inference."""

    op: ClassVar[str] = "health"
    needs: ClassVar[Needs] = any_of("operate")
    repeatable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Stats(Asks["StatsReport"]):
    """Counters since the server started."""

    op: ClassVar[str] = "stats"
    needs: ClassVar[Needs] = any_of("operate")
    repeatable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Hello(Asks["Welcome"]):
    """Sends the token; must come first if the server requires one."""

    op: ClassVar[str] = "hello"
    needs: ClassVar[Needs] = NOTHING
    repeatable: ClassVar[bool] = True
    token: str


RequestBody = Asks[Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A request on the wire: the client's id for it, and the body."""

    id: int
    body: RequestBody


# ---------------------------------------------------------------------------------------------- answers


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Pixels of the upright image."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """An enrolled person who may be the one in the picture; `image`: the most similar enrolled picture.

    `comparable`: the similarity put on the scale of the nearest candidate, whose own it equals. Candidates are ranked
    by it, and the face's `threshold` applies to it. None from servers of before.
    """

    name: str
    similarity: float
    distance: float
    image: str
    comparable: float | None = None


@dataclass(frozen=True, slots=True)
class EmotionAnswer:
    """The probabilities of all emotions, the most likely one, and whether it reaches the model's confidence
    threshold."""

    label: str
    confidence: float
    certain: bool
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DetectedFace:
    """`box`: x, y, width, height; `landmarks`: right eye, left eye, nose, right and left mouth corner, each (x, y).

    `turned`: degrees clockwise, 0 to 315 in steps of 45, by which the picture must be turned to make the face upright;
    box and landmarks refer to the picture as sent.
    """

    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]
    detection: float
    turned: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class EmbeddedFace(DetectedFace):
    """`embedding`: float32, little endian; of unit length by our own recipe, else of the network's."""

    embedding: Annotated[bytes, FLOATS]


@dataclass(frozen=True, slots=True)
class IdentifiedFace(DetectedFace):
    """`name`: None unless the decision is `match`; `similarity`: the best candidate's, None in an empty gallery.

    `threshold`: the similarity that this face needs to match its best candidate; `margin`: similarity minus threshold;
    `false_match`: the probability that a stranger has a candidate this similar.
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
    """Answer of `identify`: the faces, largest first; perhaps none."""

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
    """The boxes of a picture's faces, largest first, and the index of the one that was used."""

    boxes: tuple[tuple[float, float, float, float], ...]
    taken: int


@dataclass(frozen=True, slots=True)
class Verified:
    """Answer of `verify`; `same` is `similarity >= threshold`, where the threshold is specific to these two faces.

    `margin`: similarity minus threshold. `false_match_at_large`: the rate at which two different people at large are
    this similar; `false_match`: the same for people of the same sex, age and appearance. `same` is equivalent to
    `false_match_at_large <= fmr`. Fields with a default are not sent by older servers.
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
class PersonVerified:
    """Answer of `verify_person`, as `Verified`; `similarity` is that to the closest of the person's `templates`, or to
    the mean of them all. The rates take their number into account: each is one more chance for a stranger."""

    same: bool
    name: str
    templates: int
    similarity: float
    distance: float
    threshold: float
    margin: float
    false_match: float
    false_match_at_large: float
    fmr: float
    model: str
    image: FacesSeen


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer of `ping`. `version`: of the wire; `server`: of facewire, "" from older servers."""

    version: int = 1
    server: str = ""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Answer of `health`. `inference_ms`: time of a forward pass through every network. `reason`: why the server is not
    `healthy`, and what to do; it still answers requests with pictures then."""

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
    """Answer of `hello`. `token`: its name, `rights`: what it may do; older servers don't send them. `people` and
    `albums`: the only ones it sees; None: all."""

    version: int = 1
    token: str = ""
    rights: tuple[str, ...] = RIGHTS
    people: tuple[str, ...] | None = None
    albums: tuple[str, ...] | None = None


Result = object  # an instance of `answer_of(request)`


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
    """Progress of a long operation, whose answer follows later."""

    id: int
    done: int
    total: int
    details: Mapping[str, object] = field(default_factory=dict)


Answer = Success | Failure | Progress
