"""`Gallery`: what the rest of the server asks of whatever keeps the people it knows.

Recognition, the albums and the composition root speak to this and to nothing behind it. SQLite's implementation
(`server.gallery.sqlite`) holds every template in memory; one over a vector database may hold none. So what only such a
one can answer exactly is marked: where a docstring says "or a sample", those who ask do with a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facewire.server.gallery.events import Change, Enrolment, Erasure, Event, Undoing
from facewire.server.gallery.records import Counts, KeptTemplate, Match, NewPicture, PersonRecord, Templates
from facewire.server.gallery.search.cohort import Cohort
from facewire.server.spec import EmbeddingSpec


class Gallery(Protocol):
    """A gallery open for any number of threads.

    What changes it is in force for every reader, and on disk, when the method returns; on an error nothing was changed.
    All of these raise InvalidName, ModelMismatch where the database was rebuilt for another model meanwhile, Busy where
    another process wrote for too long, and StorageFailed where the disk is full, read-only or broken.
    """

    # ------------------------------------------------------------------------------------------ comparing

    @property
    def spec(self) -> EmbeddingSpec:
        """What its embeddings are; probes must be the same."""
        ...

    @property
    def cohort(self) -> Cohort | None:
        """What its similarities are normalised by, if anything."""
        ...

    @property
    def version(self) -> int:
        """Grows with every published change."""
        ...

    def search(self, embedding: NDArray[np.float32], k: int, *, means: bool = True) -> tuple[Match, ...]:
        """The `k` people nearest to a probe, most similar first, equals by name: each by their best template or, where
        that is nearer and unless without `means`, by the mean direction of all of theirs.

        `embedding`: (d,) float32 of unit length. Fewer than `k` where fewer are enrolled; none in an empty gallery.
        Raises ModelMismatch for another dimension, or where another model was seen to have taken over the database;
        ValueError for a length other than 1, a NaN, or k < 1.
        """
        ...

    def scales(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) for (n, d) unit embeddings: their local scales (see `server.comparison`); 1 without a cohort."""
        ...

    def templates(self) -> Templates:
        """Every template at this instant, read-only, or a sample of them: from these the calibration learns how near
        the gallery's own people come to each other, and `enrol` finds the person's other pictures."""
        ...

    def check_current(self) -> None:
        """Raises ModelMismatch, which says what to do, where the database was seen to be another model's by now."""
        ...

    # ------------------------------------------------------------------------------------------ reading

    def counts(self) -> Counts:
        """How much is enrolled."""
        ...

    def people(
        self, offset: int = 0, limit: int | None = None, *, contains: str = ""
    ) -> tuple[tuple[PersonRecord, ...], int]:
        """A page of everybody by name, and how many there are in all; `contains`: of those with this in their name."""
        ...

    def person(self, name: str) -> PersonRecord | None:
        """The person of exactly that name."""
        ...

    def alike(self, name: str) -> tuple[str, ...]:
        """Others whose names differ from this one in case and accents only."""
        ...

    def show(self, name: str, offset: int, limit: int, *, crops: bool) -> tuple[PersonRecord, tuple[KeptTemplate, ...]]:
        """A person and a page of their templates, oldest first. Raises UnknownPerson and StorageFailed."""
        ...

    def history(self, limit: int, before: int | None = None, name: str | None = None) -> tuple[tuple[Event, ...], int]:
        """The newest events before one, and how many there are in all; `name`: only those about who has or had it."""
        ...

    def trouble(self) -> str:
        """Why no change would be kept, because the database was deleted or replaced under us; empty where all is well.
        What is in memory is searched all the same."""
        ...

    # ------------------------------------------------------------------------------------------ changing

    def enrol(self, name: str, pictures: Sequence[NewPicture], *, copies: bool = False) -> Enrolment:
        """Add pictures to a person, who is added where unknown; all of them or, on an error, none.

        A picture that the person has already is left as it is; with `copies` only one of the very same bytes. Raises
        ValueError for pictures that are none, or an embedding that isn't unit; ModelMismatch for embeddings of another
        model.
        """
        ...

    def rename(self, name: str, to: str) -> Change:
        """Rename a person. Raises UnknownPerson, and AlreadyExists where the name is taken."""
        ...

    def merge(self, names: Sequence[str], into: str) -> Change:
        """Everything of `names` becomes `into`'s, and the names are gone. Raises UnknownPerson."""
        ...

    def split(self, name: str, template_ids: Sequence[int], to: str) -> Change:
        """Templates of `name` become `to`'s, who is added where unknown. Raises UnknownPerson and UnknownTemplate."""
        ...

    def remove(self, name: str, template_ids: Sequence[int] = ()) -> Change:
        """Remove templates, or without any the person; the person stays without templates. Raises UnknownPerson and
        UnknownTemplate."""
        ...

    def erase(self, name: str) -> Erasure:
        """Remove a person for good, with what the journal keeps to undo anything with. Raises UnknownPerson."""
        ...

    def undo(self, count: int = 1, last: int | None = None) -> Undoing:
        """Take back the newest `count` changes. Raises Conflict where there are fewer, or where the newest is not
        number `last`."""
        ...

    # ------------------------------------------------------------------------------------------ life

    def watch(self) -> None:
        """From here on follow what other processes change. Call it once."""
        ...

    def close(self) -> None:
        """A change under way finishes first. Searching goes on working on what is in memory."""
        ...
