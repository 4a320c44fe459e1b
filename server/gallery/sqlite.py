"""`SqliteGallery`: a gallery in one SQLite database, searched in memory.

SQLite is authoritative; memory holds a snapshot of it, which is all that reading needs. A change is first committed and
then published by swapping one reference: a reader sees either the old snapshot or the new one, and never waits. A crash
between the two loses nothing, because the next start loads what was committed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from facewire.server.errors import ModelMismatch, StartError, StorageFailed
from facewire.server.gallery.events import Change, Enrolment, Erasure, Event, Op, Undoing
from facewire.server.gallery.records import Copy, Counts, KeptTemplate, Match, NewPicture, PersonRecord, Templates
from facewire.server.gallery.search.cohort import DEFAULT_PATH as COHORT
from facewire.server.gallery.search.cohort import Cohort, measure_by
from facewire.server.gallery.search.index import check_query
from facewire.server.gallery.search.index_file import IndexFile
from facewire.server.gallery.search.strangers import nearest_others
from facewire.server.gallery.snapshot import Snapshot
from facewire.server.gallery.storage import edits, journal
from facewire.server.gallery.storage.journal import Draft
from facewire.server.gallery.storage.readers import Readers, shown, template_shown
from facewire.server.gallery.storage.store import Store
from facewire.server.gallery.watch import WATCH_INTERVAL_S, Watch
from facewire.server.gallery.writer import Writer
from facewire.server.names import person_name, tidy
from facewire.server.spec import EmbeddingSpec
from facewire.server.storage import storage_errors

Outcome = TypeVar("Outcome")


class SqliteGallery:
    """Implements `server.gallery.protocol.Gallery`; docstrings here only cover what that leaves out."""

    def __init__(self, store: Store, path: Path, cohort: Cohort | None) -> None:
        """Use `open` or `create`."""
        self._spec = store.spec
        self._measure = measure_by(cohort)
        self.cohort = cohort
        self._writer = Writer(store, path, IndexFile(path, cohort), None if cohort is None else cohort.directions)
        self._path = path
        self._readers = Readers(path, self._writer.footing)
        self._watch: Watch | None = None
        # Why comparisons are refused (another model took over the database), or None. Replaced as a whole.
        self._moved: str | None = None

    @classmethod
    def open(cls, path: Path, *, cohort: Path = COHORT, cache_dir: Path | None = None) -> Self:
        """Load the gallery at `path`, which must exist.

        If `cohort` matches the gallery's spec, people are ranked by similarities normalised by it; `cache_dir`: see
        `Cohort.load`. Templates are read from a file beside the database, or from the database, measured (70 per
        millisecond) and written there.

        Raises StartError with one line for the user if the file is missing, not a database, not a gallery, newer than
        this version, without a spec, or damaged.
        """
        store = Store.open(path)
        try:
            return cls._over(store, path, cohort, cache_dir)
        except StartError:
            store.close()
            raise

    @classmethod
    def create(cls, path: Path, spec: EmbeddingSpec, *, cohort: Path = COHORT) -> Self:
        """Create an empty gallery for embeddings of `spec`. Raises StartError if `path` exists or can't be written."""
        return cls._over(Store.create(path, spec), path, cohort)

    @classmethod
    def _over(cls, store: Store, path: Path, cohort: Path, cache_dir: Path | None = None) -> Self:
        return cls(store, path, Cohort.load(cohort, store.spec, cache_dir))

    # ------------------------------------------------------------------------------------------ reading

    @property
    def spec(self) -> EmbeddingSpec:
        return self._spec

    @property
    def version(self) -> int:
        return self._snapshot.version

    @property
    def _snapshot(self) -> Snapshot:
        return self._writer.snapshot

    def search(self, embedding: NDArray[np.float32], k: int, *, means: bool = True) -> tuple[Match, ...]:
        self.check_current()
        check_query(embedding, self.spec.dimension, k)
        return self._snapshot.search(embedding[None], k, self._measure(embedding[None]), means=means)[0]

    def search_all(self, embeddings: NDArray[np.float32], k: int) -> tuple[tuple[Match, ...], ...]:
        self.check_current()
        check_query(embeddings, self.spec.dimension, k)
        return self._snapshot.search(embeddings, k, self._measure(embeddings), means=True)

    def scales(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._measure(embeddings)

    def check_current(self) -> None:
        if self._moved is not None:
            raise ModelMismatch(self._moved)

    def trouble(self) -> str:
        return self._writer.footing.trouble()

    def people(
        self, offset: int = 0, limit: int | None = None, *, contains: str = ""
    ) -> tuple[tuple[PersonRecord, ...], int]:
        listing = self._snapshot.containing(contains)
        return listing[offset : None if limit is None else offset + limit], len(listing)

    def person(self, name: str) -> PersonRecord | None:
        found = self._snapshot.named([name])
        return found[0] if found else None

    def alike(self, name: str) -> tuple[str, ...]:
        return self._snapshot.alike(name)

    def counts(self) -> Counts:
        return self._snapshot.counts

    def templates(self) -> Templates:
        """Every template at this instant, read-only, without a copy."""
        rows = self._snapshot.rows
        return Templates(rows.embeddings, rows.person_ids, rows.scales)

    def sizes(self) -> NDArray[np.int64]:
        snapshot = self._snapshot
        sizes = np.unique(snapshot.rows.person_ids, return_counts=True)[1]
        return np.pad(sizes, (0, len(snapshot.people) - len(sizes)))  # people may be without templates

    def nearest_others(self) -> NDArray[np.float64]:
        return nearest_others(self.templates())

    def templates_of(self, name: str) -> Templates:
        snapshot = self._snapshot
        people = [record.id for record in snapshot.named([name])]
        rows = snapshot.rows
        mine = np.concatenate([np.zeros(0, np.int64), *rows.of_people(people)])
        return Templates(rows.embeddings[mine], rows.person_ids[mine], rows.scales[mine])

    def show(self, name: str, offset: int, limit: int, *, crops: bool) -> tuple[PersonRecord, tuple[KeptTemplate, ...]]:
        return self._read(lambda store: shown(store, name, offset, limit, crops=crops))

    def template(self, template_id: int, *, crops: bool) -> tuple[PersonRecord, KeptTemplate]:
        return self._read(lambda store: template_shown(store, template_id, crops=crops))

    def history(self, limit: int, before: int | None = None, name: str | None = None) -> tuple[tuple[Event, ...], int]:
        about = None if name is None else tidy(name)
        return self._read(lambda store: journal.history(store, limit, before, about))

    # ------------------------------------------------------------------------------------------ changing

    def enrol(self, name: str, pictures: Sequence[NewPicture], *, copies: bool = False) -> Enrolment:
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
        return self._changed("rename", lambda store, draft: edits.rename(store, draft, name, to))

    def merge(self, names: Sequence[str], into: str) -> Change:
        return self._changed("merge", lambda store, draft: edits.merge(store, draft, names, into))

    def split(self, name: str, template_ids: Sequence[int], to: str) -> Change:
        return self._changed("split", lambda store, draft: edits.split(store, draft, name, template_ids, to))

    def remove(self, name: str, template_ids: Sequence[int] = ()) -> Change:
        return self._changed("remove", lambda store, draft: edits.remove(store, draft, name, template_ids))

    def undo(self, count: int = 1, last: int | None = None) -> Undoing:
        undone, event = self._writer.change("undo", lambda store, draft: journal.undo(store, draft, count, last))
        assert event is not None, "an undoing is kept even where it changes no row"
        return Undoing(event, tuple(undone), self._concerned(event))

    def erase(self, name: str) -> Erasure:
        found, event, note = self._writer.erase(name)
        return Erasure(**asdict(found), event=event, note=note)

    def refresh(self) -> bool:
        """Load what other processes have committed since the last call; True if there was anything. Readers are not
        blocked.

        Raises ModelMismatch if another model took over the database; then every search raises it, too, until the
        database holds this model again. Raises Busy and StorageFailed if the database can't be read at the moment.
        """
        try:
            found = self._writer.refresh()
        except ModelMismatch as error:
            self._moved = str(error)
            raise
        self._moved = None
        return found

    def watch(self, interval_s: float = WATCH_INTERVAL_S) -> None:
        """Start a thread that calls `refresh` within `interval_s` of another process's commit. Call it once."""
        # `trouble` logs what it finds, so there is nothing else to do about it here.
        self._watch = Watch(lambda: self.trouble() or self.refresh(), interval_s)

    # ------------------------------------------------------------------------------------------ life

    def close(self) -> None:
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
            raise StorageFailed(f"the database can no longer be opened: {error}") from error
