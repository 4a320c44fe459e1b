"""`Gallery`: the people this server knows. The rest of the server speaks to this class and to nothing behind it.

SQLite is the truth; memory holds a snapshot of it, and reading needs nothing else. A change is committed first and then
published by swapping one reference: a reader has the old snapshot or the new one, whole, and never waits. A crash
between the two loses nothing, for the next start reads what was committed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from server.errors import StartError
from server.gallery import edits, journal
from server.gallery.events import Change, Draft, Enrolment, Erasure, Event, Op, Undoing
from server.gallery.graph_keeper import EXACT_BYTES, GraphKeeper
from server.gallery.names import person_name
from server.gallery.readers import Readers
from server.gallery.records import Counts, KeptTemplate, Match, NewPicture, PersonRecord, Templates
from server.gallery.showing import shown
from server.gallery.snapshot import Snapshot
from server.gallery.store import Store
from server.gallery.writer import Writer, storage_error
from server.spec import EmbeddingSpec

Outcome = TypeVar("Outcome")


class Gallery:
    """A gallery open for any number of threads.

    What changes it is in force for every reader, and on disk, when the method returns; on an error nothing was changed.
    All of these raise InvalidName, ModelMismatch where the database was rebuilt for another model meanwhile, Busy where
    another process wrote for too long, and StorageFailed where the disk is full, read-only or broken.
    """

    def __init__(self, store: Store, path: Path, keeper: GraphKeeper) -> None:
        """Use `open` or `create`."""
        self._spec = store.spec
        self._keeper = keeper
        self._writer = Writer(store, path, keeper)
        self._readers = Readers(path)

    @classmethod
    def open(cls, path: Path, *, exact_bytes: int = EXACT_BYTES) -> Self:
        """The gallery at `path`, loaded. Creates no database.

        Where its embeddings take more than `exact_bytes`, the index file beside it is opened, or built in the
        background and written; until it is there every search is exact.

        Raises StartError with one line for the user: missing, not a database, not ours, newer than this version,
        without a spec, damaged.
        """
        store = Store.open(path)
        try:
            return cls(store, path, GraphKeeper(path, store.spec, exact_bytes))
        except StartError:
            store.close()
            raise

    @classmethod
    def create(cls, path: Path, spec: EmbeddingSpec, *, exact_bytes: int = EXACT_BYTES) -> Self:
        """An empty gallery for embeddings of `spec`. Raises StartError where `path` exists or can't be written."""
        store = Store.create(path, spec)
        return cls(store, path, GraphKeeper(path, store.spec, exact_bytes))

    # ------------------------------------------------------------------------------------------ reading

    @property
    def spec(self) -> EmbeddingSpec:
        """What its embeddings are; probes must be the same."""
        return self._spec

    @property
    def version(self) -> int:
        """Grows with every published change."""
        return self._snapshot.version

    @property
    def _snapshot(self) -> Snapshot:
        return self._writer.snapshot

    def search(self, embedding: NDArray[np.float32], k: int) -> tuple[Match, ...]:
        """The `k` people nearest to a probe, each by their best template, most similar first, equals by name.

        `embedding`: (d,) float32 of unit length. Fewer than `k` where fewer are enrolled; none in an empty gallery.
        Raises ModelMismatch for another dimension; ValueError for a length other than 1, a NaN, or k < 1.
        """
        return self._snapshot.search(embedding, k)

    def people(
        self, offset: int = 0, limit: int | None = None, *, contains: str = ""
    ) -> tuple[tuple[PersonRecord, ...], int]:
        """A page of everybody by name, and how many there are in all; `contains`: of those with this in their name."""
        listing = self._snapshot.containing(contains)
        return listing[offset : None if limit is None else offset + limit], len(listing)

    def person(self, name: str) -> PersonRecord | None:
        """The person of exactly that name."""
        found = self._snapshot.named([name])
        return found[0] if found else None

    def counts(self) -> Counts:
        """How much is enrolled."""
        return self._snapshot.counts

    def templates(self) -> Templates:
        """Every template at this instant, read-only, without a copy."""
        rows = self._snapshot.rows
        return Templates(rows.embeddings, rows.person_ids)

    def show(self, name: str, offset: int, limit: int, *, crops: bool) -> tuple[PersonRecord, tuple[KeptTemplate, ...]]:
        """A person and a page of their templates, oldest first. Raises UnknownPerson and StorageFailed."""
        return self._read(lambda store: shown(store, name, offset, limit, crops=crops))

    def history(self, limit: int, before: int | None = None, name: str | None = None) -> tuple[tuple[Event, ...], int]:
        """The newest events before one, and how many there are in all; `name`: only those about who has or had it."""
        about = None if name is None else person_name(name)
        return self._read(lambda store: journal.history(store, limit, before, about))

    # ------------------------------------------------------------------------------------------ changing

    def enrol(self, name: str, pictures: Sequence[NewPicture]) -> Enrolment:
        """Add pictures to a person, who is added where unknown; all of them or, on an error, none.

        A picture whose bytes the person has already is left as it is. Raises ValueError for pictures that are none, or
        an embedding that isn't unit; ModelMismatch for embeddings of another model.
        """
        if not pictures:
            raise ValueError(f"no picture to enrol {name} with")
        ids, event = self._writer.change("enrol", lambda store, draft: edits.enrol(store, draft, name, pictures))
        return Enrolment(self._record(person_name(name)), tuple(ids), event)

    def rename(self, name: str, to: str) -> Change:
        """Call a person otherwise. Raises UnknownPerson, and AlreadyExists where the name is taken."""
        return self._changed("rename", lambda store, draft: edits.rename(store, draft, name, to))

    def merge(self, names: Sequence[str], into: str) -> Change:
        """Everything of `names` becomes `into`'s, and the names are gone. Raises UnknownPerson."""
        return self._changed("merge", lambda store, draft: edits.merge(store, draft, names, into))

    def split(self, name: str, template_ids: Sequence[int], to: str) -> Change:
        """Templates of `name` become `to`'s, who is added where unknown. Raises UnknownPerson and UnknownTemplate."""
        return self._changed("split", lambda store, draft: edits.split(store, draft, name, template_ids, to))

    def remove(self, name: str, template_ids: Sequence[int] = ()) -> Change:
        """Remove templates, or without any the person; the person stays without templates. Raises UnknownPerson and
        UnknownTemplate."""
        return self._changed("remove", lambda store, draft: edits.remove(store, draft, name, template_ids))

    def remove_picture(self, name: str, sha256: str) -> PersonRecord:
        """Remove a person's picture, by its bytes, with its templates; the person stays, even without any.

        What the person doesn't have needs no removing. Raises UnknownPerson.
        """
        self._writer.change("remove", lambda store, draft: edits.remove_picture(store, draft, name, sha256))
        return self._record(person_name(name))

    def undo(self, count: int = 1, last: int | None = None) -> Undoing:
        """Take back the newest `count` changes. Raises Conflict where there are fewer, or where the newest is not
        number `last`."""
        undone, event = self._writer.change("undo", lambda store, draft: journal.undo(store, draft, count, last))
        assert event is not None, "an undoing is kept even where it changes no row"
        return Undoing(event, tuple(undone), self._concerned(event))

    def erase(self, name: str) -> Erasure:
        """Remove a person for good, with what the journal keeps to undo anything with. Raises UnknownPerson."""
        found, event, note = self._writer.erase(name)
        counts = (found.images, found.templates, found.crops, found.journal, found.sources)
        return Erasure(event, *counts, complete=not note, note=note)

    def refresh(self) -> bool:
        """Take in what other processes have committed since; whether there was anything."""
        return self._writer.refresh()

    # ------------------------------------------------------------------------------------------ life

    def close(self) -> None:
        """Close the database; a writer under way finishes first. Searching goes on working on what is in memory.

        A large gallery saves its index beside the database, for the next start.
        """
        self._writer.close()
        self._readers.close()
        self._keeper.close()

    def wait_until_indexed(self, timeout_s: float | None = None) -> bool:
        """Wait until search is as fast as it gets, for benchmarks and tests; it is right all the time.

        False where that took longer than `timeout_s`.
        """
        return self._keeper.wait_until_settled(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------ helpers

    def _changed(self, op: Op, edit: Callable[[Store, Draft], None]) -> Change:
        _, event = self._writer.change(op, edit)
        assert event is not None, f"{op} changes something or raises"
        return Change(event, self._concerned(event))

    def _concerned(self, event: Event) -> tuple[PersonRecord, ...]:
        return self._snapshot.named(event.names)

    def _record(self, name: str) -> PersonRecord:
        return self._snapshot.named([name])[0]

    def _read(self, read: Callable[[Store], Outcome]) -> Outcome:
        try:
            with self._readers.reading() as store:
                return read(store)
        except sqlite3.DatabaseError as error:
            raise storage_error(error) from error
