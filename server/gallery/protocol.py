"""`Gallery`: the interface between the server and whatever stores the people it knows.

Recognition, the albums and the composition root use this and nothing behind it. The SQLite implementation
(`server.gallery.sqlite`) holds every template in memory, the one over Milvus (`server.gallery.milvus`) none. Where a
docstring says "or a sample", an implementation may return a sample and callers must cope with that.
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
    """A gallery, open for any number of threads.

    A change is visible to every reader of this object, and stored, when its method returns; on an error nothing was
    changed or, where the message says so, it may be half made and can be asked for again. All methods that change the
    gallery raise InvalidName, ModelMismatch if the database was meanwhile rebuilt for another model, Busy if another
    process held the write lock for too long or the database can't be reached, and StorageFailed if the disk is full,
    read-only or broken.
    """

    # ------------------------------------------------------------------------------------------ comparing

    @property
    def spec(self) -> EmbeddingSpec:
        """The spec of its embeddings, which probes must share."""
        ...

    @property
    def cohort(self) -> Cohort | None:
        """The cohort that normalises its similarities, if any."""
        ...

    @property
    def version(self) -> int:
        """Increases with every published change."""
        ...

    def search(self, embedding: NDArray[np.float32], k: int, *, means: bool = True) -> tuple[Match, ...]:
        """The `k` people nearest to a probe, most similar first, ties by name. Each is represented by their best
        template or, if `means` and if it is nearer, by the mean direction of all their templates.

        `embedding`: (d,) float32 of unit length. Returns fewer than `k` if fewer are enrolled, none for an empty
        gallery. Raises ModelMismatch for another dimension, or if another model is known to have taken over the
        database; ValueError for a non-unit length, a NaN, or k < 1.
        """
        ...

    def search_all(self, embeddings: NDArray[np.float32], k: int) -> tuple[tuple[Match, ...], ...]:
        """`search` for each of (m, d) probes at one instant; faster than one by one."""
        ...

    def scales(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) local scales of (n, d) unit embeddings (see `server.comparison`); 1 without a cohort."""
        ...

    def sizes(self) -> NDArray[np.int64]:
        """(n,) the numbers of templates of everybody, or of a random sample of people."""
        ...

    def nearest_others(self) -> NDArray[np.float64]:
        """(n,) the normalised similarity of the nearest other person, by templates or means, for one template each of
        a sample of people. Empty with fewer than two people."""
        ...

    def templates_of(self, name: str) -> Templates:
        """The templates of the person with exactly that name, read-only; none if nobody has it."""
        ...

    def check_current(self) -> None:
        """Raises ModelMismatch, which says what to do, if another model is known to have taken over the database."""
        ...

    # ------------------------------------------------------------------------------------------ reading

    def counts(self) -> Counts:
        """Numbers of people, pictures and templates enrolled."""
        ...

    def people(
        self, offset: int = 0, limit: int | None = None, *, contains: str = ""
    ) -> tuple[tuple[PersonRecord, ...], int]:
        """A page of people sorted by name, and the total number; `contains`: only those whose name contains this
        text."""
        ...

    def person(self, name: str) -> PersonRecord | None:
        """The person with exactly that name."""
        ...

    def alike(self, name: str) -> tuple[str, ...]:
        """Other people's names that differ from this one only in case and accents."""
        ...

    def show(self, name: str, offset: int, limit: int, *, crops: bool) -> tuple[PersonRecord, tuple[KeptTemplate, ...]]:
        """A person and a page of their templates, oldest first. Raises UnknownPerson and StorageFailed."""
        ...

    def template(self, template_id: int, *, crops: bool) -> tuple[PersonRecord, KeptTemplate]:
        """A template, and who has it. Raises UnknownTemplate and StorageFailed."""
        ...

    def history(self, limit: int, before: int | None = None, name: str | None = None) -> tuple[tuple[Event, ...], int]:
        """The newest events before event `before`, and the total number; `name`: only those about whoever has or had
        it."""
        ...

    def trouble(self) -> str:
        """Why changes would not be saved, because the database was deleted or replaced while in use; empty if all is
        well. Search keeps working from memory."""
        ...

    # ------------------------------------------------------------------------------------------ changing

    def enrol(self, name: str, pictures: Sequence[NewPicture], *, copies: bool = False) -> Enrolment:
        """Add pictures to a person, creating the person if unknown. On an error none is added.

        A picture that the person already has is skipped; with `copies` only if its bytes are identical. Raises
        ValueError for an empty list of pictures or an embedding that isn't unit; ModelMismatch for embeddings of
        another model.
        """
        ...

    def rename(self, name: str, to: str) -> Change:
        """Rename a person. Raises UnknownPerson, and AlreadyExists if the name is taken."""
        ...

    def merge(self, names: Sequence[str], into: str) -> Change:
        """Move all templates of `names` to `into` and delete the emptied people. Raises UnknownPerson."""
        ...

    def split(self, name: str, template_ids: Sequence[int], to: str) -> Change:
        """Move templates from `name` to `to`, who is created if unknown. Raises UnknownPerson and UnknownTemplate."""
        ...

    def remove(self, name: str, template_ids: Sequence[int] = ()) -> Change:
        """Remove templates, or the whole person if no ids are given. A person who loses all templates this way stays.
        Raises UnknownPerson and UnknownTemplate."""
        ...

    def erase(self, name: str) -> Erasure:
        """Remove a person for good, including everything the journal keeps for undoing. Raises UnknownPerson."""
        ...

    def undo(self, count: int = 1, last: int | None = None) -> Undoing:
        """Undo the newest `count` changes. Raises Conflict if there are fewer, or if the newest is not number
        `last`."""
        ...

    # ------------------------------------------------------------------------------------------ life

    def watch(self) -> None:
        """Start following other processes' changes. Call it once."""
        ...

    def close(self) -> None:
        """Waits for a change in progress. Search keeps working from memory afterwards."""
        ...
