"""The operations that change the gallery, and look into it, as methods: a part of FaceClient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Literal

from facewire.client.connection import OnProgress
from facewire.protocol.asks import A, Asks
from facewire.protocol.gallery_messages import (
    Acceptable,
    Changed,
    Enrol,
    Enrolled,
    Erase,
    Erased,
    History,
    HistoryListed,
    Merge,
    People,
    PeopleListed,
    PersonEntry,
    PersonShown,
    Remove,
    Rename,
    Show,
    Split,
    TemplateEntry,
    Undo,
    Undone,
)


class GalleryOperations(ABC):
    """A change is on the server's disk, and in force for every client, when its method returns.

    A name that nobody has raises UnknownPerson, one that is taken AlreadyExists. After ConnectionLost or
    ServerTimeout a change may or may not have been made: `history` tells.
    """

    @abstractmethod
    def ask(self, body: Asks[A], on_progress: OnProgress | None = None) -> A:
        """The answer to one request."""

    def enrol(
        self,
        name: str,
        image: bytes,
        *,
        label: str | None = None,
        several: Literal["refuse", "main"] = "refuse",
        at: tuple[float, float] | None = None,
        accept: Sequence[Acceptable] = (),
    ) -> Enrolled:
        """Add a picture to a person, who is added where unknown.

        `label`: what matches show as the picture; of several faces `at` is a point in the one that is meant, and
        `several="main"` takes the largest central one; `accept`: reasons not to refuse it for, "all" for none. Raises
        InvalidImage, NoFace, SeveralFaces or NotEnrolled, which says the reasons with their numbers. A picture that
        the person has already comes back in `rejected`.
        """
        labels = () if label is None else (label,)
        request = Enrol(name, image=image, labels=labels, several=several, at=at, accept=tuple(accept))
        return self.ask(request)

    def enrol_many(
        self,
        name: str,
        images: Sequence[bytes],
        *,
        labels: Sequence[str] = (),
        several: Literal["refuse", "main"] = "refuse",
        accept: Sequence[Acceptable] = (),
        points: Sequence[tuple[float, float]] = (),
    ) -> Enrolled:
        """Add pictures to a person in one change: those that can be enrolled are, `rejected` says why others not.

        `accept`: as for `enrol`; `points`: one in the face that is meant of each picture, or none.
        """
        request = Enrol(
            name,
            images=tuple(images),
            labels=tuple(labels),
            several=several,
            accept=tuple(accept),
            points=tuple(points),
        )
        return self.ask(request)

    def people(self, offset: int = 0, limit: int | None = None, *, contains: str = "") -> PeopleListed:
        """One page of the enrolled people, by name; `limit`: at most this many (the protocol's MAX_PAGE if None);
        `contains`: only those whose name has this in it, in any case."""
        request = People(offset, contains=contains) if limit is None else People(offset, limit, contains)
        return self.ask(request)

    def all_people(self, contains: str = "") -> Iterator[PersonEntry]:
        """Every enrolled person, page by page."""
        offset = 0
        while page := self.people(offset, contains=contains).people:
            yield from page
            offset += len(page)

    def show(self, name: str, offset: int = 0, limit: int | None = None, *, crops: bool = True) -> PersonShown:
        """A person and a page of their templates; `crops`: with small pictures of the faces."""
        request = Show(name, offset, crops=crops) if limit is None else Show(name, offset, limit, crops)
        return self.ask(request)

    def all_templates(self, name: str, *, crops: bool = True) -> Iterator[TemplateEntry]:
        """Every template of a person, page by page."""
        offset = 0
        while page := self.show(name, offset, crops=crops).templates:
            yield from page
            offset += len(page)

    def rename(self, name: str, to: str) -> Changed:
        """Call a person otherwise."""
        return self.ask(Rename(name, to))

    def merge(self, names: Sequence[str], into: str) -> Changed:
        """These people are one: all they have goes to `into`, and their names are gone."""
        return self.ask(Merge(tuple(names), into))

    def split(self, name: str, templates: Sequence[int], to: str) -> Changed:
        """Templates of `name` are somebody else's: they go to `to`, who is added where unknown."""
        return self.ask(Split(name, tuple(templates), to))

    def remove(self, name: str, templates: Sequence[int] = ()) -> Changed:
        """Remove templates of a person, or without any the person; `undo` brings them back."""
        return self.ask(Remove(name, tuple(templates)))

    def erase(self, name: str) -> Erased:
        """Remove a person for good, with everything that was kept of them; nothing before it can be undone then."""
        return self.ask(Erase(name))

    def undo(self, count: int = 1, *, last: int | None = None) -> Undone:
        """Take back the last changes; with `last`, only if that is still the number of the last one (else Conflict)."""
        return self.ask(Undo(count, last))

    def history(self, limit: int | None = None, *, before: int | None = None, name: str | None = None) -> HistoryListed:
        """The journal, newest first; `before`: only events of lower numbers; `name`: only those about that person."""
        request = History(before=before, name=name) if limit is None else History(limit, before, name)
        return self.ask(request)
