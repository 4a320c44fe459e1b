"""`Gallery`: the people this server knows. The rest of the server speaks to this class and to nothing behind it.

SQLite is the truth; memory holds a snapshot of it, and reading needs nothing else. A change is committed first and then
published by swapping one reference: a reader has the old snapshot or the new one, whole, and never waits. A crash
between the two loses nothing, for the next start reads what was committed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from facewire.server.errors import ModelMismatch, StartError, StorageFailed
from facewire.server.gallery.names import person_name
from facewire.server.gallery.records import Copy, Counts, KeptTemplate, Match, NewPicture, PersonRecord, Templates
from facewire.server.gallery.search.cohort import DEFAULT_PATH as COHORT
from facewire.server.gallery.search.cohort import Cohort, measure_by
from facewire.server.gallery.search.index import check_query
from facewire.server.gallery.search.scales_file import ScalesFile
from facewire.server.gallery.snapshot import Snapshot
from facewire.server.gallery.storage import edits, journal
from facewire.server.gallery.storage.events import Change, Draft, Enrolment, Erasure, Event, Op, Undoing
from facewire.server.gallery.storage.readers import Readers
from facewire.server.gallery.storage.showing import shown
from facewire.server.gallery.storage.store import Store
from facewire.server.gallery.watch import WATCH_INTERVAL_S, Watch
from facewire.server.gallery.writer import Writer
from facewire.server.names import tidy
from facewire.server.spec import EmbeddingSpec
from facewire.server.storage import storage_errors

Outcome = TypeVar("Outcome")


class Gallery:
    """A gallery open for any number of threads.

    What changes it is in force for every reader, and on disk, when the method returns; on an error nothing was changed.
    All of these raise InvalidName, ModelMismatch where the database was rebuilt for another model meanwhile, Busy where
    another process wrote for too long, and StorageFailed where the disk is full, read-only or broken.
    """

    def __init__(self, store: Store, path: Path, cohort: Cohort | None) -> None:
        """Use `open` or `create`."""
        self._spec = store.spec
        self._measure = measure_by(cohort)
        self.cohort = cohort
        self._scales_file = ScalesFile(path, cohort)
        directions = None if cohort is None else cohort.directions
        # Somebody was erased: what lies beside the database goes with them.
        self._writer = Writer(store, path, self._scales_file.measure, directions, forget=self._scales_file.remove)
        self._scales_file.keep(self._snapshot.rows)
        self._path = path
        self._readers = Readers(path, self._writer.footing)
        self._watch: Watch | None = None
        # Why nothing may be compared with what is enrolled, or None. Replaced as a whole.
        self._moved: str | None = None

    @classmethod
    def open(cls, path: Path, *, cohort: Path = COHORT) -> Self:
        """The gallery at `path`, loaded. Creates no database.

        Where `cohort` is of the gallery's embeddings, people are ranked by similarities normalised by it. The scales
        that takes are read from a file beside the database, or measured (a millisecond for 70 templates) and written.

        Raises StartError with one line for the user: missing, not a database, not ours, newer than this version,
        without a spec, damaged.
        """
        store = Store.open(path)
        try:
            return cls._over(store, path, cohort)
        except StartError:
            store.close()
            raise

    @classmethod
    def create(cls, path: Path, spec: EmbeddingSpec, *, cohort: Path = COHORT) -> Self:
        """An empty gallery for embeddings of `spec`. Raises StartError where `path` exists or can't be written."""
        return cls._over(Store.create(path, spec), path, cohort)

    @classmethod
    def _over(cls, store: Store, path: Path, cohort: Path) -> Self:
        return cls(store, path, Cohort.load(cohort, store.spec))

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

    def search(self, embedding: NDArray[np.float32], k: int, *, means: bool = True) -> tuple[Match, ...]:
        """The `k` people nearest to a probe, most similar first, equals by name: each by their best template or, where
        that is nearer and unless without `means`, by the mean direction of all of theirs.

        `embedding`: (d,) float32 of unit length. Fewer than `k` where fewer are enrolled; none in an empty gallery.
        Raises ModelMismatch for another dimension, or where another model was seen to have taken over the database;
        ValueError for a length other than 1, a NaN, or k < 1.
        """
        self.check_current()
        check_query(embedding, self.spec.dimension, k)
        return self._snapshot.search(embedding, k, float(self._measure(embedding[None])[0]), means=means)

    def scales(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) for (n, d) unit embeddings: their local scales (see `server.comparison`); 1 without a cohort."""
        return self._measure(embeddings)

    def check_current(self) -> None:
        """Raises ModelMismatch, which says what to do, where the database was seen to be another model's by now."""
        if self._moved is not None:
            raise ModelMismatch(self._moved)

    def trouble(self) -> str:
        """Why no change would be kept, because the database was deleted or replaced under us; empty where all is well.
        What is in memory is searched all the same."""
        return self._writer.footing.trouble()

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

    def alike(self, name: str) -> tuple[str, ...]:
        """Who is called nearly so: others whose names differ from this one in case and accents only."""
        return self._snapshot.alike(name)

    def counts(self) -> Counts:
        """How much is enrolled."""
        return self._snapshot.counts

    def templates(self) -> Templates:
        """Every template at this instant, read-only, without a copy."""
        rows = self._snapshot.rows
        return Templates(rows.embeddings, rows.person_ids, rows.scales)

    def show(self, name: str, offset: int, limit: int, *, crops: bool) -> tuple[PersonRecord, tuple[KeptTemplate, ...]]:
        """A person and a page of their templates, oldest first. Raises UnknownPerson and StorageFailed."""
        return self._read(lambda store: shown(store, name, offset, limit, crops=crops))

    def history(self, limit: int, before: int | None = None, name: str | None = None) -> tuple[tuple[Event, ...], int]:
        """The newest events before one, and how many there are in all; `name`: only those about who has or had it."""
        about = None if name is None else tidy(name)
        return self._read(lambda store: journal.history(store, limit, before, about))

    # ------------------------------------------------------------------------------------------ changing

    def enrol(self, name: str, pictures: Sequence[NewPicture], *, copies: bool = False) -> Enrolment:
        """Add pictures to a person, who is added where unknown; all of them or, on an error, none.

        A picture that the person has already is left as it is; with `copies` only one of the very same bytes. Raises
        ValueError for pictures that are none, or an embedding that isn't unit; ModelMismatch for embeddings of another
        model.
        """
        if not pictures:
            raise ValueError(f"no picture to enrol {name} with")
        added, event = self._writer.change(
            "enrol", lambda store, draft: edits.enrol(store, draft, name, pictures, copies=copies)
        )
        return Enrolment(
            self._record(person_name(name)),
            tuple(() if isinstance(one, Copy) else one.template_ids for one in added),
            tuple(one if isinstance(one, Copy) else None for one in added),
            event,
        )

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
        return self._record(tidy(name))

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
        """Take in what other processes have committed since; whether there was anything. Readers go on meanwhile.

        Raises ModelMismatch where another model took over the database; so does every search from then on, until the
        database is this model's again. Raises Busy and StorageFailed where it can't be read just now.
        """
        try:
            found = self._writer.refresh()
        except ModelMismatch as error:
            self._moved = str(error)
            raise
        self._moved = None
        return found

    def watch(self, interval_s: float = WATCH_INTERVAL_S) -> None:
        """From here on `refresh` by itself, `interval_s` after another process committed or sooner. Call it once."""
        # What trouble there is has been logged by who found it.
        self._watch = Watch(lambda: self.trouble() or self.refresh(), interval_s)

    # ------------------------------------------------------------------------------------------ life

    def close(self) -> None:
        """Close the database; a writer under way finishes first. Searching goes on working on what is in memory."""
        if self._watch is not None:
            self._watch.close()
        with self._writer.footing.leaving():
            self._writer.close()
            self._readers.close()

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
            with storage_errors(self._path), self._readers.reading() as store:
                return read(store)
        except StartError as error:
            raise StorageFailed(f"the database can't be opened any more: {error}") from error
