"""What users say of faces and people, how it is taken back, and what is worth asking them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from facewire.protocol.albums.collection import MAX_ALBUM_PAGE
from facewire.protocol.albums.looking import AlbumPerson
from facewire.protocol.asks import Asks, Range
from facewire.protocol.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class AlbumLabel(Asks["AlbumChanged"]):
    """Names or renames a person; the name of another person merges the two; an empty one takes the name away."""

    op: ClassVar[str] = "album.label"
    album: str
    person: int
    name: str


@dataclass(frozen=True, slots=True)
class AlbumMerge(Asks["AlbumChanged"]):
    """These people are one: the first of them keeps its number, and its name or the first that there is."""

    op: ClassVar[str] = "album.merge"
    album: str
    people: tuple[int, ...]

    def check(self) -> None:
        if len(set(self.people)) < 2:
            raise InvalidRequest("'people' must name two people at least")


@dataclass(frozen=True, slots=True)
class AlbumSplit(Asks["AlbumChanged"]):
    """These faces of a person are somebody else: a new person, called `name` if that is given."""

    op: ClassVar[str] = "album.split"
    album: str
    person: int
    faces: tuple[int, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class AlbumMove(Asks["AlbumChanged"]):
    """These faces are of that person."""

    op: ClassVar[str] = "album.move"
    album: str
    faces: tuple[int, ...]
    person: int


@dataclass(frozen=True, slots=True)
class AlbumNot(Asks["AlbumChanged"]):
    """These faces are not of that person: they leave, and clustering never brings them back."""

    op: ClassVar[str] = "album.not"
    album: str
    faces: tuple[int, ...]
    person: int


@dataclass(frozen=True, slots=True)
class AlbumDifferent(Asks["AlbumChanged"]):
    """These two people are not one ("no" to a suggestion): they are neither merged nor suggested again."""

    op: ClassVar[str] = "album.different"
    album: str
    people: tuple[int, int]

    def check(self) -> None:
        if self.people[0] == self.people[1]:
            raise InvalidRequest("'people' must name two people")


@dataclass(frozen=True, slots=True)
class AlbumHide(Asks["AlbumChanged"]):
    """A person nobody asks about (a passer-by), or, with `hidden` false, one to be shown again."""

    op: ClassVar[str] = "album.hide"
    album: str
    person: int
    hidden: bool = True


@dataclass(frozen=True, slots=True)
class AlbumUndo(Asks["AlbumChanged"]):
    """Takes back the last correction that has not been taken back."""

    op: ClassVar[str] = "album.undo"
    album: str


@dataclass(frozen=True, slots=True)
class AlbumChanged:
    """Answer of every correction: its number in the history, what was done, and those concerned as they are now."""

    event: int
    done: str
    people: tuple[AlbumPerson, ...]


@dataclass(frozen=True, slots=True)
class AlbumHistory(Asks["AlbumHistoryListed"]):
    """The corrections, newest first."""

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
    """Who may be one person? Those first whose answer settles most faces."""

    op: ClassVar[str] = "album.suggest"
    album: str
    limit: Annotated[int, Range(1, MAX_ALBUM_PAGE)] = 20


@dataclass(frozen=True, slots=True)
class AlbumSuggestion:
    """Answer it with `album.merge` or `album.different`; `faces`: how many it settles."""

    one: AlbumPerson
    other: AlbumPerson
    similarity: float
    faces: int


@dataclass(frozen=True, slots=True)
class AlbumSuggested:
    """Answer of `suggest`."""

    suggestions: tuple[AlbumSuggestion, ...]
