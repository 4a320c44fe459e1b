"""Messages about the gallery: people and templates, changes to them, and the journal of changes.

People are addressed by name, templates and events by numbers that are never reused. When the answer to a change
arrives, the change is on the server's disk and visible to every client.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from facewire.protocol.errors import InvalidRequest
from facewire.protocol.rights import Needs, any_of
from facewire.protocol.schema import Asks, Length, Range

MAX_PAGE = 1000  # `limit` of people and history: about 100 KB of names
MAX_SHOWN = 100  # `limit` of show: with crops of 5 KB, half a megabyte
MAX_IMAGES = 100  # per enrolment: more than a person needs, few enough to embed in seconds
MAX_PARTS = 1000  # people per merge, templates per split or removal
MAX_ACCEPTED = 100  # reasons per enrolment: more than exist
MAX_UNDONE = 100  # changes undone at once
MAX_NUMBER = 2**53  # of a template or an event: exact as a float, for languages that have no other numbers
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
"""Why a picture with a face may be refused, unless the reason is in `accept`. README.md says what is measured for
each."""

Acceptable = Literal[Refusal, "all"]

# ---------------------------------------------------------------------------------------------- requests


@dataclass(frozen=True, slots=True)
class Enrol(Asks["Enrolled"]):
    """Add pictures to a person, who is created if unknown: `image` for one, `images` for several.

    An `image` that can't be enrolled is an error. Of several, those that can be are enrolled, and the answer says why
    the others were not. `labels`: one for each picture, such as a file name, to show in matches; they are never opened.
    `several`: what to do with a picture of several faces: refuse it, or take the largest central one (`main`).
    `at`: for `image`, a point (x, y) in the face that is meant, in pixels of the upright picture; `points`: one for
    each of `images`. `accept`: reasons for which pictures must not be refused, `all` for every reason. Identical bytes
    are never stored twice, even if duplicates are accepted.
    """

    op: ClassVar[str] = "enrol"
    needs: ClassVar[Needs] = any_of("enrol")
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
        """All pictures, in the order of the answer's indices."""
        return self.images if self.image is None else (self.image,)

    def point(self, index: int) -> tuple[float, float] | None:
        """The point in the face that is meant of a picture, if given."""
        return self.points[index] if self.points else self.at

    def accepts(self, reason: Refusal) -> bool:
        """Is a picture to be enrolled despite this reason?"""
        return reason in self.accept or "all" in self.accept


@dataclass(frozen=True, slots=True)
class People(Asks["PeopleListed"]):
    """List the enrolled people, by name; `offset` and `limit` page through those whose name contains `contains`,
    ignoring case."""

    op: ClassVar[str] = "people"
    needs: ClassVar[Needs] = any_of("enrol", "manage")
    repeatable: ClassVar[bool] = True
    offset: Annotated[int, Range(0, MAX_NUMBER)] = 0
    limit: Annotated[int, Range(1, MAX_PAGE)] = MAX_PAGE
    contains: str = ""


@dataclass(frozen=True, slots=True)
class Show(Asks["PersonShown"]):
    """Show a person with a page of their templates, oldest first; `crops`: include small pictures of the faces.
    `template`: show that one alone instead, and whoever has it by now, as it may have moved since `name` was read."""

    op: ClassVar[str] = "show"
    needs: ClassVar[Needs] = any_of("enrol", "manage")
    repeatable: ClassVar[bool] = True
    name: str
    offset: Annotated[int, Range(0, MAX_NUMBER)] = 0
    limit: Annotated[int, Range(1, MAX_SHOWN)] = MAX_SHOWN
    crops: bool = True
    template: Annotated[int, Range(0, MAX_NUMBER)] = 0


@dataclass(frozen=True, slots=True)
class Rename(Asks["Changed"]):
    """Rename a person. A name that is taken is refused (`exists`): merge instead."""

    op: ClassVar[str] = "rename"
    needs: ClassVar[Needs] = any_of("manage")
    name: str
    to: str


@dataclass(frozen=True, slots=True)
class Merge(Asks["Changed"]):
    """Merge people: everything of `names` moves to `into`, who must be enrolled; the people `names` cease to exist."""

    op: ClassVar[str] = "merge"
    needs: ClassVar[Needs] = any_of("manage")
    names: Annotated[tuple[str, ...], Length(1, MAX_PARTS)]
    into: str


@dataclass(frozen=True, slots=True)
class Split(Asks["Changed"]):
    """Move templates of `name` to `to`, who is created if unknown."""

    op: ClassVar[str] = "split"
    needs: ClassVar[Needs] = any_of("manage")
    name: str
    templates: Annotated[tuple[int, ...], Length(1, MAX_PARTS), Range(1, MAX_NUMBER)]
    to: str


@dataclass(frozen=True, slots=True)
class Remove(Asks["Changed"]):
    """Remove templates of `name`, or the person if none are given. Can be undone, unlike Erase."""

    op: ClassVar[str] = "remove"
    needs: ClassVar[Needs] = any_of("manage")
    name: str
    templates: Annotated[tuple[int, ...], Length(0, MAX_PARTS), Range(1, MAX_NUMBER)] = ()


@dataclass(frozen=True, slots=True)
class Erase(Asks["Erased"]):
    """Delete a person permanently: vectors, crops, the journal's record of them, and index entries.

    Earlier changes can no longer be undone.
    """

    op: ClassVar[str] = "erase"
    needs: ClassVar[Needs] = any_of("manage")
    name: str


@dataclass(frozen=True, slots=True)
class Undo(Asks["Undone"]):
    """Undo the last `count` changes, newest first; all of them or, on an error, none.

    `last`: the number of the change that the client believes to be the last; if there is a later one, nothing is undone
    (`conflict`). An undo is recorded as a change, but can't be undone itself.
    """

    op: ClassVar[str] = "undo"
    needs: ClassVar[Needs] = any_of("manage")
    count: Annotated[int, Range(1, MAX_UNDONE)] = 1
    last: Annotated[int | None, Range(1, MAX_NUMBER)] = None


@dataclass(frozen=True, slots=True)
class History(Asks["HistoryListed"]):
    """List the journal, newest first; `before`: only events with lower numbers (for paging); `name`: only those about
    a person of that name."""

    op: ClassVar[str] = "history"
    needs: ClassVar[Needs] = any_of("manage")
    repeatable: ClassVar[bool] = True
    limit: Annotated[int, Range(1, MAX_PAGE)] = 50
    before: Annotated[int | None, Range(1, MAX_NUMBER)] = None
    name: str | None = None


# ---------------------------------------------------------------------------------------------- answers


@dataclass(frozen=True, slots=True)
class PersonEntry:
    """An enrolled person; `images`: number of pictures that the templates come from; `first`: the oldest template, 0 if
    there is none."""

    name: str
    templates: int
    images: int = 0
    first: int = 0


@dataclass(frozen=True, slots=True)
class PeopleListed:
    """Answer of `people`: one page, and the total number of people that matched."""

    people: tuple[PersonEntry, ...]
    total: int


@dataclass(frozen=True, slots=True)
class TemplateEntry:
    """A template. `image`: the label of its picture; `box`: x, y, width, height in it; `created`: ISO 8601, UTC;
    `crop`: a small JPEG of the face, None if not requested or not stored."""

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
    """An added template; `index`: of its picture in the request, from 0; `turned`: as in `DetectedFace`; the template
    is made from the face turned upright."""

    index: int
    template: int
    box: tuple[float, float, float, float]
    detection: float
    turned: int = 0


@dataclass(frozen=True, slots=True)
class Shortcoming:
    """Why a picture was refused: `reason` is a `Refusal`, or one added by a later version. `measured` is on the wrong
    side of `limit`, both in the reason's own unit."""

    reason: str
    measured: float
    limit: float


@dataclass(frozen=True, slots=True)
class Rejection:
    """A picture that was not enrolled. `reason`: `invalid_image`, `no_face`, or the first of `shortcomings`, which
    lists all of them; `message`: an explanation."""

    index: int
    reason: str
    message: str
    shortcomings: tuple[Shortcoming, ...] = ()


@dataclass(frozen=True, slots=True)
class EventEntry:
    """A change. `op`: the operation's name, or `build` for scripts/create_db.py; `text`: a description; `names`: the
    affected people, by their names then; `undone`: has it been undone? `undoable`: can `undo` still reach it? `token`,
    `address`: by which token, and from where; empty for a command of the server's machine, or before that was kept."""

    id: int
    at: str
    op: str
    text: str
    names: tuple[str, ...]
    undone: bool
    undoable: bool
    token: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Answer of `enrol`. `person`: as they are now, None if nothing was enrolled and nobody has that name; `event`:
    None if nothing was enrolled; `doubts`: warnings about pictures that were enrolled, in the form of rejections."""

    person: PersonEntry | None
    templates: tuple[EnrolledTemplate, ...]
    rejected: tuple[Rejection, ...]
    event: EventEntry | None
    doubts: tuple[Rejection, ...] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """Answer of `rename`, `merge`, `split` and `remove`: the affected people who still exist, as they are now. `note`:
    a warning about a possible mistake, such as two people with nearly the same name; else empty."""

    event: EventEntry
    people: tuple[PersonEntry, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Erased:
    """Answer of `erase`: how much was deleted. `journal`: number of journal entries that lost their content; `sources`:
    enrolled pictures whose files are in a folder, which are not touched (create_db.py would enrol them again);
    `complete`: False while another process keeps the old state on disk; `note` explains."""

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
    """Answer of `undo`: the undo itself, the changes undone, newest first, and the affected people as they are now."""

    event: EventEntry
    undone: tuple[EventEntry, ...]
    people: tuple[PersonEntry, ...]


@dataclass(frozen=True, slots=True)
class HistoryListed:
    """Answer of `history`: one page, and the total number of events that matched."""

    events: tuple[EventEntry, ...]
    total: int
