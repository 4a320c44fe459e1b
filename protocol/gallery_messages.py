"""The gallery's part of the vocabulary: people and templates, how they change, and the journal of changes.

People are addressed by name, templates and events by numbers that are never given twice. A change is on the server's
disk, and in force for every client, when its answer arrives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from facewire.protocol.asks import Asks, Length, Range
from facewire.protocol.errors import InvalidRequest

MAX_PAGE = 1000  # `limit` of people and history: about 100 KB of names
MAX_SHOWN = 100  # `limit` of show: with crops of 5 KB, half a megabyte
MAX_IMAGES = 100  # of one enrolment: more than a person needs, few enough to embed in seconds
MAX_PARTS = 1000  # people of one merge, templates of one split or removal
MAX_ACCEPTED = 100  # reasons of one enrolment: more than there are
MAX_UNDONE = 100  # changes undone at once
MAX_NUMBER = 2**53  # of a template or an event: what a float holds too, for languages that have nothing else
MAX_LABEL = 1000  # characters of a label: a path's worth

Refusal = Literal[
    "too_small",
    "blurred",
    "turned_away",
    "too_dark",
    "too_bright",
    "partly_outside",
    "not_a_face",
    "covered",
    "several_faces",
    "duplicate",
    "nearer_to_another",
]
"""Why a picture in which a face was found is not enrolled, unless it is accepted all the same. README.md says what is
measured for each."""

Acceptable = Literal[Refusal, "all"]

# ---------------------------------------------------------------------------------------------- requests


@dataclass(frozen=True, slots=True)
class Enrol(Asks["Enrolled"]):
    """Add pictures to a person, who is added where unknown: `image` for one, `images` for many.

    One `image` that can't be enrolled is an error; of many, those that can are, and the answer says why others not.
    `labels`: what matches show as the pictures, one each (file names, say); they are only shown, never opened.
    `several`: what to do with a picture of several faces: refuse it, or take the largest central one (`main`).
    `at`: of one `image`, a point (x, y) in the face that is meant, in pixels as shown; `points`: of `images`, one each.
    `accept`: reasons for which no picture is to be refused; `all` for every one of them. Of a duplicate the very same
    bytes are still not kept twice.
    """

    op: ClassVar[str] = "enrol"
    name: str
    image: bytes | None = None
    images: Annotated[tuple[bytes, ...], Length(0, MAX_IMAGES)] = ()
    labels: tuple[str, ...] = ()
    several: Literal["refuse", "main"] = "refuse"
    at: tuple[float, float] | None = None
    accept: Annotated[tuple[Acceptable, ...], Length(0, MAX_ACCEPTED)] = ()
    points: tuple[tuple[float, float], ...] = ()

    def check(self) -> None:
        if (self.image is None) == (not self.images):
            raise InvalidRequest("an enrolment has either 'image' or 'images'")
        if self.labels and len(self.labels) != len(self.pictures):
            raise InvalidRequest(f"{len(self.pictures)} pictures need as many 'labels', or none")
        if any(len(label) > MAX_LABEL for label in self.labels):
            raise InvalidRequest(f"a label has at most {MAX_LABEL} characters")
        if self.at is not None and self.image is None:
            raise InvalidRequest("'at' is a point in one 'image'")
        if self.points and len(self.points) != len(self.images):
            raise InvalidRequest(f"{len(self.images)} 'images' need as many 'points', or none")

    @property
    def pictures(self) -> tuple[bytes, ...]:
        """All of them, in the order in which the answer counts them."""
        return self.images if self.image is None else (self.image,)

    def point(self, index: int) -> tuple[float, float] | None:
        """A point in the face that is meant of a picture, where one was said."""
        return self.points[index] if self.points else self.at

    def accepts(self, reason: Refusal) -> bool:
        """Is a picture to be enrolled in spite of that?"""
        return reason in self.accept or "all" in self.accept


@dataclass(frozen=True, slots=True)
class People(Asks["PeopleListed"]):
    """The enrolled people, by name; `offset` and `limit` page through those whose name contains `contains`,
    in any case."""

    op: ClassVar[str] = "people"
    offset: Annotated[int, Range(0, MAX_NUMBER)] = 0
    limit: Annotated[int, Range(1, MAX_PAGE)] = MAX_PAGE
    contains: str = ""


@dataclass(frozen=True, slots=True)
class Show(Asks["PersonShown"]):
    """One person, with a page of their templates, oldest first; `crops`: with the small pictures of the faces."""

    op: ClassVar[str] = "show"
    name: str
    offset: Annotated[int, Range(0, MAX_NUMBER)] = 0
    limit: Annotated[int, Range(1, MAX_SHOWN)] = MAX_SHOWN
    crops: bool = True


@dataclass(frozen=True, slots=True)
class Rename(Asks["Changed"]):
    """Call a person otherwise. A name that is taken is refused (`exists`): merge instead."""

    op: ClassVar[str] = "rename"
    name: str
    to: str


@dataclass(frozen=True, slots=True)
class Merge(Asks["Changed"]):
    """These people are one: everything of `names` goes to `into`, who must be enrolled, and the names are gone."""

    op: ClassVar[str] = "merge"
    names: Annotated[tuple[str, ...], Length(1, MAX_PARTS)]
    into: str


@dataclass(frozen=True, slots=True)
class Split(Asks["Changed"]):
    """These templates of `name` are somebody else's: they go to `to`, who is added where unknown."""

    op: ClassVar[str] = "split"
    name: str
    templates: Annotated[tuple[int, ...], Length(1, MAX_PARTS), Range(1, MAX_NUMBER)]
    to: str


@dataclass(frozen=True, slots=True)
class Remove(Asks["Changed"]):
    """Remove these templates of `name`, or without any the person. It can be undone: see Erase for what can't."""

    op: ClassVar[str] = "remove"
    name: str
    templates: Annotated[tuple[int, ...], Length(0, MAX_PARTS), Range(1, MAX_NUMBER)] = ()


@dataclass(frozen=True, slots=True)
class Erase(Asks["Erased"]):
    """Remove a person for good: vectors, crops, what the journal kept of them, and the index's entries.

    Nothing that happened before can be undone any more.
    """

    op: ClassVar[str] = "erase"
    name: str


@dataclass(frozen=True, slots=True)
class Undo(Asks["Undone"]):
    """Take back the last `count` changes, the newest first; all of them or, on an error, none.

    `last`: the number of the change that the asker believes to be the last; where another one has come since, nothing
    is undone (`conflict`). An undoing is a change itself, but not one that this takes back.
    """

    op: ClassVar[str] = "undo"
    count: Annotated[int, Range(1, MAX_UNDONE)] = 1
    last: Annotated[int | None, Range(1, MAX_NUMBER)] = None


@dataclass(frozen=True, slots=True)
class History(Asks["HistoryListed"]):
    """The journal, newest first; `before`: only events of lower numbers (to page); `name`: only those about a person
    of that name."""

    op: ClassVar[str] = "history"
    limit: Annotated[int, Range(1, MAX_PAGE)] = 50
    before: Annotated[int | None, Range(1, MAX_NUMBER)] = None
    name: str | None = None


# ---------------------------------------------------------------------------------------------- answers


@dataclass(frozen=True, slots=True)
class PersonEntry:
    """One enrolled person; `images` counts the pictures that the templates are from."""

    name: str
    templates: int
    images: int = 0


@dataclass(frozen=True, slots=True)
class PeopleListed:
    """Answer of `people`: one page, and how many people there are in all (of those asked for)."""

    people: tuple[PersonEntry, ...]
    total: int


@dataclass(frozen=True, slots=True)
class TemplateEntry:
    """One template. `image`: the label of its picture; `box`: x, y, width, height there; `created`: ISO 8601, UTC;
    `crop`: a small JPEG of the face, None where none was asked for or none is kept."""

    id: int
    image: str
    box: tuple[float, float, float, float]
    detection: float
    created: str
    crop: bytes | None


@dataclass(frozen=True, slots=True)
class PersonShown:
    """Answer of `show`: one page of templates; `person` counts all of them."""

    person: PersonEntry
    created: str
    templates: tuple[TemplateEntry, ...]


@dataclass(frozen=True, slots=True)
class EnrolledTemplate:
    """A template that was added; `index`: of its picture in the request, from 0; `turned`: as in `DetectedFace`, the
    template is of the face turned upright."""

    index: int
    template: int
    box: tuple[float, float, float, float]
    detection: float
    turned: int = 0


@dataclass(frozen=True, slots=True)
class Shortcoming:
    """What a picture was refused for: a `Refusal`, or one that a later version adds. `measured` is on the wrong side
    of `limit`, both in the reason's own unit."""

    reason: str
    measured: float
    limit: float


@dataclass(frozen=True, slots=True)
class Rejection:
    """A picture that was not enrolled. `reason`: `invalid_image`, `no_face`, or the first of `shortcomings`, which are
    all there are; `message`: in words."""

    index: int
    reason: str
    message: str
    shortcomings: tuple[Shortcoming, ...] = ()


@dataclass(frozen=True, slots=True)
class EventEntry:
    """A change. `op`: the operation's name, or `build` for scripts/create_db.py; `text`: in words; `names`: the people
    concerned, as they were called; `undone`: was it taken back? `undoable`: would `undo`, sooner or later, take it
    back?"""

    id: int
    at: str
    op: str
    text: str
    names: tuple[str, ...]
    undone: bool
    undoable: bool


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Answer of `enrol`. `person`: as they are now, None where nothing was enrolled and nobody has that name;
    `event`: None where nothing was enrolled; `doubts`: about pictures that were enrolled, in the same form."""

    person: PersonEntry | None
    templates: tuple[EnrolledTemplate, ...]
    rejected: tuple[Rejection, ...]
    event: EventEntry | None
    doubts: tuple[Rejection, ...] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """Answer of `rename`, `merge`, `split` and `remove`: the people concerned as they are now (not those gone).
    `note`: what may not have been meant, such as two people of nearly one name; else empty."""

    event: EventEntry
    people: tuple[PersonEntry, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Erased:
    """Answer of `erase`: how much there was, and is no more. `journal`: entries of the journal that lost their
    content; `sources`: enrolled pictures whose files lie in a folder, which are not touched (create_db.py would enrol
    them again); `complete`: False while another process still holds the old state on the disk - `note` says more."""

    images: int
    templates: int
    crops: int
    journal: int
    sources: int
    complete: bool
    note: str
    event: EventEntry


@dataclass(frozen=True, slots=True)
class Undone:
    """Answer of `undo`: the undoing itself, what it took back, the newest first, and the people concerned as they are
    now."""

    event: EventEntry
    undone: tuple[EventEntry, ...]
    people: tuple[PersonEntry, ...]


@dataclass(frozen=True, slots=True)
class HistoryListed:
    """Answer of `history`: one page, and how many events there are in all (of those asked for)."""

    events: tuple[EventEntry, ...]
    total: int
