"""Users' corrections of faces and people, undo, history, and suggestions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from facewire.protocol.albums.collection import MAX_ALBUM_PAGE
from facewire.protocol.albums.looking import AlbumPerson
from facewire.protocol.asks import Asks, Range
from facewire.protocol.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class AlbumLabel(Asks["AlbumChanged"]):
    """Names or renames a person. The name of another person merges the two; an empty one removes the name."""

    op: ClassVar[str] = "album.label"
    album: str
    person: int
    name: str


@dataclass(frozen=True, slots=True)
class AlbumMerge(Asks["AlbumChanged"]):
    """Merges people. The first keeps its number, and its name or else the first name among the others."""

    op: ClassVar[str] = "album.merge"
    album: str
    people: tuple[int, ...]

    def check(self) -> None:
        if len(set(self.people)) < 2:
            raise InvalidRequest("'people' must name two people at least")


@dataclass(frozen=True, slots=True)
class AlbumSplit(Asks["AlbumChanged"]):
    """Moves faces of a person to a new person, called `name` if given."""

    op: ClassVar[str] = "album.split"
    album: str
    person: int
    faces: tuple[int, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class AlbumMove(Asks["AlbumChanged"]):
    """Assigns faces to a person."""

    op: ClassVar[str] = "album.move"
    album: str
    faces: tuple[int, ...]
    person: int


@dataclass(frozen=True, slots=True)
class AlbumNot(Asks["AlbumChanged"]):
    """States that faces are not this person. They are removed from it, and clustering never returns them."""

    op: ClassVar[str] = "album.not"
    album: str
    faces: tuple[int, ...]
    person: int


@dataclass(frozen=True, slots=True)
class AlbumDifferent(Asks["AlbumChanged"]):
    """States that two people are different ("no" to a suggestion). They are never clustered together or suggested
    again."""

    op: ClassVar[str] = "album.different"
    album: str
    people: tuple[int, int]

    def check(self) -> None:
        if self.people[0] == self.people[1]:
            raise InvalidRequest("'people' must name two people")


@dataclass(frozen=True, slots=True)
class AlbumHide(Asks["AlbumChanged"]):
    """Hides a person (a passer-by), or shows them again with `hidden` false."""

    op: ClassVar[str] = "album.hide"
    album: str
    person: int
    hidden: bool = True


@dataclass(frozen=True, slots=True)
class AlbumUndo(Asks["AlbumChanged"]):
    """Undoes the last correction not yet undone."""

    op: ClassVar[str] = "album.undo"
    album: str


@dataclass(frozen=True, slots=True)
class AlbumChanged:
    """Answer of every correction: its number in the history, a description, and the affected people as they are now."""

    event: int
    done: str
    people: tuple[AlbumPerson, ...]


@dataclass(frozen=True, slots=True)
class AlbumHistory(Asks["AlbumHistoryListed"]):
    """Lists the corrections, newest first."""

    op: ClassVar[str] = "album.history"
    album: str
    offset: int = 0
    limit: int = MAX_ALBUM_PAGE


@dataclass(frozen=True, slots=True)
class AlbumEvent:
    """A correction; `at`: ISO 8601, UTC."""

    event: int
    at: str
    done: str
    undone: bool


@dataclass(frozen=True, slots=True)
class AlbumHistoryListed:
    """Answer of `history`."""

    events: tuple[AlbumEvent, ...]
    total: int


@dataclass(frozen=True, slots=True)
class AlbumSuggest(Asks["AlbumSuggested"]):
    """Suggests pairs of people who may be the same, most faces settled by the answer first."""

    op: ClassVar[str] = "album.suggest"
    album: str
    limit: Annotated[int, Range(1, MAX_ALBUM_PAGE)] = 20


@dataclass(frozen=True, slots=True)
class AlbumSuggestion:
    """A pair to settle with `album.merge` or `album.different`; `faces`: how many faces that settles."""

    one: AlbumPerson
    other: AlbumPerson
    similarity: float
    faces: int


@dataclass(frozen=True, slots=True)
class AlbumSuggested:
    """Answer of `suggest`."""

    suggestions: tuple[AlbumSuggestion, ...]
