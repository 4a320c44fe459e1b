"""A whole gallery, one piece at a time, as it is carried from one kind of database to another.

People, templates and events have numbers that grow in the order in which they came to be. SQLite's ids are such
numbers; those of Milvus are not, so its side translates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from facewire.server.gallery.records import Box, Counts, Landmarks, Person
from facewire.server.spec import EmbeddingSpec


@dataclass(frozen=True, slots=True)
class Picture:
    """A person's picture, as `NewPicture` has it. `created`: when it was enrolled."""

    sha256: str
    size_bytes: int
    path: str
    source: str | None
    mtime_ns: int | None
    width: int
    height: int
    created: str
    fingerprint: bytes | None


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A template with its picture. `person`: their number. `leads`: it is the first of its person's picture."""

    number: int
    person: int
    leads: bool
    picture: Picture
    box: Box
    landmarks: Landmarks
    detection: float
    embedding: NDArray[np.float32]
    crop: bytes | None


@dataclass(frozen=True, slots=True)
class Told:
    """An event of the journal. `subjects`, `target`: number and name of each, as they were. `undoable`: the state
    before it is kept, see `Source.before`."""

    number: int
    at: str
    op: str
    subjects: tuple[tuple[int, str], ...]
    target: tuple[int, str] | None
    detail: Mapping[str, int]
    undone_by: int | None
    undoable: bool
    token: str
    address: str


class PersonWas(NamedTuple):
    """What a person's row was before an event; None: there was none."""

    number: int
    person: Person | None


class TemplateWas(NamedTuple):
    """What a template was before an event; None: there was none."""

    number: int
    template: Template | None


Was = PersonWas | TemplateWas


class Source(Protocol):
    """A gallery that is read, as of one instant."""

    @property
    def spec(self) -> EmbeddingSpec: ...

    def counts(self) -> Counts:
        """Numbers of people, pictures and templates."""
        ...

    def people(self) -> Iterator[Person]:
        """Everybody; `id` is their number."""
        ...

    def templates(self) -> Iterator[Template]:
        """Every template of the gallery's model."""
        ...

    def events(self) -> Iterator[Told]:
        """The journal, oldest first."""
        ...

    def before(self, event: int) -> Iterator[Was]:
        """What an undoable event changed, as it was before. Some of it may not have been changed."""
        ...

    def close(self) -> None: ...


class Target(Protocol):
    """An empty gallery that is filled, and appears only with `finish`. Call the methods in this order."""

    def tell(self, event: Told) -> None:
        """Add an event, newer than the last."""
        ...

    def keep(self, event: int, was: Iterator[Was]) -> None:
        """Add what the event that was just told had changed."""
        ...

    def add_people(self, people: Iterator[Person]) -> None: ...

    def add_templates(self, templates: Iterator[Template]) -> None: ...

    def finish(self) -> None:
        """Make it a gallery."""
        ...

    def close(self) -> None:
        """Without `finish`, nothing stays behind."""
        ...
