"""Users' corrections of faces and people, undo, history, and suggestions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from facewire.protocol.albums.collection import MAX_ALBUM_PAGE
from facewire.protocol.albums.looking import AlbumPerson
from facewire.protocol.errors import InvalidRequest
from facewire.protocol.gallery_messages import MAX_NUMBER
from facewire.protocol.rights import Needs, any_of
from facewire.protocol.schema import Asks, Length, Range


@dataclass(frozen=True, slots=True)
class AlbumLabel(Asks["AlbumChanged"]):
    """Names or renames a person. The name of another person merges the two; an empty one removes the name."""

    op: ClassVar[str] = "album.label"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    person: int
    name: str


@dataclass(frozen=True, slots=True)
class AlbumMerge(Asks["AlbumChanged"]):
    """Merges people. The first keeps its number, and its name or else the first name among the others."""

    op: ClassVar[str] = "album.merge"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    people: tuple[int, ...]

    def check(self) -> None:
        if len(set(self.people)) < 2:
            raise InvalidRequest("'people' must name at least two people")


@dataclass(frozen=True, slots=True)
class AlbumSplit(Asks["AlbumChanged"]):
    """Moves faces of a person to a new person, called `name` if given."""

    op: ClassVar[str] = "album.split"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    person: int
    faces: tuple[int, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class AlbumMove(Asks["AlbumChanged"]):
    """Assigns faces to a person."""

    op: ClassVar[str] = "album.move"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    faces: tuple[int, ...]
    person: int


@dataclass(frozen=True, slots=True)
class AlbumNot(Asks["AlbumChanged"]):
    """States that faces are not this person. They are removed from it, and clustering never returns them."""

    op: ClassVar[str] = "album.not"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    faces: tuple[int, ...]
    person: int


@dataclass(frozen=True, slots=True)
class AlbumDifferent(Asks["AlbumChanged"]):
    """States that two people are different ("no" to a suggestion). They are never clustered together or suggested
    again."""

    op: ClassVar[str] = "album.different"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    people: tuple[int, int]

    def check(self) -> None:
        if self.people[0] == self.people[1]:
            raise InvalidRequest("'people' must name two people")


@dataclass(frozen=True, slots=True)
class AlbumHide(Asks["AlbumChanged"]):
    """Hides a person (a passer-by), or several, or shows them again with `hidden` false. Give `person` or `people`."""

    op: ClassVar[str] = "album.hide"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    person: int | None = None
    hidden: bool = True
    people: Annotated[tuple[int, ...], Length(0, MAX_ALBUM_PAGE)] = ()

    def check(self) -> None:
        if (self.person is None) is not bool(self.people):
            raise InvalidRequest("give 'person', or 'people'")


@dataclass(frozen=True, slots=True)
class AlbumStranger(Asks["AlbumChanged"]):
    """States that nobody knows these people, who have no name: they stay in the album, and nobody is asked about them
    again. With `stranger` false they are asked about as before."""

    op: ClassVar[str] = "album.stranger"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    people: Annotated[tuple[int, ...], Length(1, MAX_ALBUM_PAGE)]
    stranger: bool = True


@dataclass(frozen=True, slots=True)
class AlbumUndo(Asks["AlbumChanged"]):
    """Undoes the last correction not yet undone.

    `last`: the number of the correction that the client believes this to be; if it is another one, nothing is undone
    (`conflict`).
    """

    op: ClassVar[str] = "album.undo"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    last: Annotated[int | None, Range(1, MAX_NUMBER)] = None


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
    needs: ClassVar[Needs] = any_of("albums")
    repeatable: ClassVar[bool] = True
    album: str
    offset: int = 0
    limit: int = MAX_ALBUM_PAGE


@dataclass(frozen=True, slots=True)
class AlbumEvent:
    """A correction; `at`: ISO 8601, UTC; `token`, `address`: by which token, and from where; empty before that was
    kept. `undone_token`, `undone_address`: the same of who undid it."""

    event: int
    at: str
    done: str
    undone: bool
    token: str = ""
    address: str = ""
    undone_token: str = ""
    undone_address: str = ""


@dataclass(frozen=True, slots=True)
class AlbumHistoryListed:
    """Answer of `history`."""

    events: tuple[AlbumEvent, ...]
    total: int


@dataclass(frozen=True, slots=True)
class AlbumSuggest(Asks["AlbumSuggested"]):
    """Suggests pairs of people who may be the same: those first whose answer is expected to settle most faces, and
    last those about a single face in the background of a photo.

    `person`: only pairs with this person, who is `one` of each; the likeliest first.
    """

    op: ClassVar[str] = "album.suggest"
    needs: ClassVar[Needs] = any_of("albums")
    repeatable: ClassVar[bool] = True
    album: str
    limit: Annotated[int, Range(1, MAX_ALBUM_PAGE)] = 20
    person: int | None = None


@dataclass(frozen=True, slots=True)
class AlbumSuggestion:
    """A pair to settle with `album.merge` or `album.different`; `faces`: how many faces that settles; `background`:
    it is about a single face that is small or blurred, or much smaller than another of its photo."""

    one: AlbumPerson
    other: AlbumPerson
    similarity: float
    faces: int
    background: bool = False


@dataclass(frozen=True, slots=True)
class AlbumSuggested:
    """Answer of `suggest`."""

    suggestions: tuple[AlbumSuggestion, ...]
