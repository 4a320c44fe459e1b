"""`MilvusGallery`: a gallery in Milvus, which any number of servers share.

Nothing of it is held in memory but two numbers and a sample for the decision's threshold, taken again when it changes.
There are no transactions: see `journal` for what takes their place.
"""

from __future__ import annotations

import heapq
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from facewire.server.errors import Busy, ModelMismatch, RequestError, StartError, StorageFailed, UnknownTemplate
from facewire.server.gallery.address import TOKEN_VARIABLE, MilvusAddress
from facewire.server.gallery.events import Change, Enrolment, Erasure, Event, Undoing
from facewire.server.gallery.milvus.connection import FIRST_ID, LAST_ID, Milvus, Row
from facewire.server.gallery.milvus.contract import Contract, axes_of, contract, create
from facewire.server.gallery.milvus.edits import Added, Edits
from facewire.server.gallery.milvus.erasing import erase
from facewire.server.gallery.milvus.journal import Draft, Journal
from facewire.server.gallery.milvus.mending import bring_back, left_behind
from facewire.server.gallery.milvus.reading import Reading
from facewire.server.gallery.milvus.searching import Searching
from facewire.server.gallery.milvus.tables import RECORDS, TEMPLATES, WHOLE, Stored, crop_id, name_hash
from facewire.server.gallery.milvus.vectors import Vectors, parts
from facewire.server.gallery.records import (
    Copy,
    Counts,
    KeptTemplate,
    Match,
    NewPicture,
    Person,
    PersonRecord,
    Templates,
)
from facewire.server.gallery.search.cohort import DEFAULT_PATH as COHORT
from facewire.server.gallery.search.cohort import Cohort
from facewire.server.gallery.search.index import check_query
from facewire.server.gallery.watch import WATCH_INTERVAL_S, Watch
from facewire.server.names import folded, spellings, tidy
from facewire.server.spec import EmbeddingSpec

SAMPLED_PEOPLE = 2000
"""People whose templates are counted for the effective size; it then errs by about 2 %."""

SAMPLED_STRANGERS = 256
"""People whose nearest other person is looked for, for the calibration: half a second."""

NEAREST = 8
"""People compared with each of those, of whom the nearest other one is taken."""


class MilvusGallery:
    """Implements `server.gallery.protocol.Gallery`; docstrings here only cover what that leaves out."""

    def __init__(self, milvus: Milvus, made: Contract, cohort: Cohort | None) -> None:
        """Use `open` or `create`."""
        self._milvus = milvus
        self.cohort = cohort
        self.reading = Reading(milvus)
        self.journal = Journal(milvus)
        self._take_up(made)
        self._writing = threading.Lock()  # one change at a time from this process
        self._guard = threading.Lock()  # guards the five below
        self._done = self.journal.done()
        self._restored = 0  # by how much the version is ahead of the changes that Milvus knows of
        self._version = self._done
        self._counts: tuple[int, Counts] | None = None
        self._sizes: tuple[int, NDArray[np.int64]] | None = None
        self._trouble: Busy | StorageFailed | None = None  # why Milvus can't be used at the moment
        self._moved: str | None = None  # why comparisons are refused: another model took over
        self._watch: Watch | None = None

    @classmethod
    def open(cls, address: MilvusAddress) -> Self:
        """Raises StartError if Milvus is not there, refuses the token, or has no such gallery, or one that this version
        can't use."""
        milvus = connected(address)
        try:
            made = contract(milvus)
            if made is None:
                raise StartError(
                    f"no gallery at {address}: build it with scripts/create_db.py FOLDER --db {address}, or make an"
                    f" empty one, to be filled through the server, with scripts/create_db.py --empty --db {address}",
                    exit_code=2,
                )
            milvus.load(RECORDS)
            milvus.load("")
            milvus.settle()
            return cls(milvus, made, cohort_of(made, address))
        except RequestError as error:
            milvus.close()
            raise StartError(f"{address} can't be used: {error}") from error
        except StartError:
            milvus.close()
            raise

    @classmethod
    def create(cls, address: MilvusAddress, spec: EmbeddingSpec) -> Self:
        """Make an empty gallery. Raises StartError if there is one, or Milvus refuses."""
        milvus = connected(address)
        try:
            if contract(milvus) is not None:
                raise StartError(f"{address} exists already", exit_code=2)
            create(milvus, spec, Cohort.load(COHORT, spec))
        except RequestError as error:
            raise StartError(f"{address} can't be made: {error}") from error
        finally:
            milvus.close()
        return cls.open(address)

    def _take_up(self, made: Contract) -> None:
        """Compare in the gallery's own directions. Raises Busy, StorageFailed and StartError."""
        vectors = Vectors(axes_of(self._milvus, made.spec.dimension), self.cohort)
        self._made = made
        self._vectors = vectors
        self.edits = Edits(self._milvus, self.reading, self.journal, vectors)
        self._searching = Searching(self._milvus, self.reading, vectors)

    # ------------------------------------------------------------------------------------------ comparing

    @property
    def spec(self) -> EmbeddingSpec:
        return self._made.spec

    @property
    def address(self) -> MilvusAddress:
        """Where it is."""
        return self._milvus.address

    @property
    def version(self) -> int:
        """Grows with every change that was made, and when Milvus is back: it may have been restored."""
        return self._version

    def search(self, embedding: NDArray[np.float32], k: int, *, means: bool = True) -> tuple[Match, ...]:
        check_query(embedding, self.spec.dimension, k)
        return self._search(embedding[None], k, means=means)[0]

    def search_all(self, embeddings: NDArray[np.float32], k: int) -> tuple[tuple[Match, ...], ...]:
        check_query(embeddings, self.spec.dimension, k)
        return self._search(embeddings, k, means=True)

    def _search(self, embeddings: NDArray[np.float32], k: int, *, means: bool) -> tuple[tuple[Match, ...], ...]:
        self.check_current()
        found = self._searching.search(
            self._vectors.coordinates(embeddings), self._vectors.scales(embeddings), k, means=means
        )
        if not all(found) and self._milvus.count(TEMPLATES):
            # Milvus answers with nothing where it has not loaded everything: that must not be taken for "unknown".
            raise Busy(f"{self._milvus.address} is still loading", retry_after_ms=1000)
        return found

    def scales(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._vectors.scales(embeddings)

    def check_current(self) -> None:
        if self._moved is not None:
            raise ModelMismatch(self._moved)
        trouble = self._trouble
        if isinstance(trouble, Busy):
            raise Busy(str(trouble), retry_after_ms=trouble.retry_after_ms)
        if trouble is not None:
            raise StorageFailed(str(trouble))

    def sizes(self) -> NDArray[np.int64]:
        with self._guard:
            known, version = self._sizes, self._version
        if known is None or known[0] != version:
            known = (version, self._count_sizes())
            with self._guard:
                self._sizes = known
        return known[1]

    def _count_sizes(self) -> NDArray[np.int64]:
        records = self.reading.records(self._some(SAMPLED_PEOPLE))
        return np.array([record.templates for record in records], np.int64)

    def _some(self, number: int) -> list[Person]:
        """Everybody, or about this many of them: ids are hashes, so a range of them is a random choice."""
        share = min(1.0, number / max(1, self.counts().people))
        high = LAST_ID if share == 1 else FIRST_ID + int(share * (LAST_ID - FIRST_ID))
        return list(self.reading.some(FIRST_ID, high))

    def nearest_others(self) -> NDArray[np.float64]:
        people = [person.id for person in self._some(SAMPLED_STRANGERS)]
        first = {}
        for one in reversed(self.reading.templates_of(people)):
            first[one.person] = one
        if len(first) < 2:
            return np.zeros(0)
        coordinates, scales = parts(np.stack([one.vector for one in first.values()]))
        lengths = np.linalg.norm(coordinates, axis=1, keepdims=True)
        found = self._searching.search(
            np.asarray(coordinates / lengths, np.float32), scales.astype(np.float32), NEAREST, means=True
        )
        others = (
            next((match.normalised for match in matches if match.person_id != person), None)
            for person, matches in zip(first, found, strict=True)
        )
        return np.array([other for other in others if other is not None])

    def templates_of(self, name: str) -> Templates:
        person = self.reading.person(name)
        stored = self.reading.templates_of([person.id]) if person else []
        vectors = np.array([one.vector for one in stored], np.float32).reshape(-1, self._vectors.width)
        scales = parts(vectors)[1].astype(np.float32)
        people = np.array([one.person for one in stored], np.int64)
        return Templates(self._vectors.embeddings(vectors), people, scales)

    # ------------------------------------------------------------------------------------------ reading

    def counts(self) -> Counts:
        with self._guard:
            known, version = self._counts, self._version
        if known is None or known[0] != version:
            known = (version, self.reading.counts())
            with self._guard:
                self._counts = known
        return known[1]

    def people(
        self, offset: int = 0, limit: int | None = None, *, contains: str = ""
    ) -> tuple[tuple[PersonRecord, ...], int]:
        """Looks through everybody's names, as Milvus can't sort: a million take some ten seconds."""
        wanted, total = folded(contains), 0

        def those() -> Iterator[Person]:
            nonlocal total
            for person in self.reading.everybody():
                if not wanted or any(wanted in each for each in spellings(person.name)):
                    total += 1
                    yield person

        def order(person: Person) -> tuple[str, str]:
            return person.name.casefold(), person.name

        if limit is None:
            page = sorted(those(), key=order)[offset:]
        else:
            page = heapq.nsmallest(offset + limit, those(), key=order)[offset:]
        return self.reading.records(page), total

    def person(self, name: str) -> PersonRecord | None:
        found = self.reading.person(name)
        return None if found is None else self.reading.records([found])[0]

    def alike(self, name: str) -> tuple[str, ...]:
        return tuple(sorted(person.name for person in self.reading.alike(name) if person.name != name))

    def show(self, name: str, offset: int, limit: int, *, crops: bool) -> tuple[PersonRecord, tuple[KeptTemplate, ...]]:
        person = self.reading.meant(name)
        page = self.reading.templates_of([person.id])[offset : offset + limit]
        return self.reading.records([person])[0], self._kept(page, crops=crops)

    def template(self, template_id: int, *, crops: bool) -> tuple[PersonRecord, KeptTemplate]:
        found = self.reading.template(template_id)
        owners = self.reading.by_id([found.person]) if found else {}
        if found is None or found.person not in owners:  # or is just being moved
            raise UnknownTemplate(f"there is no template {template_id}")
        return self.reading.records([owners[found.person]])[0], self._kept([found], crops=crops)[0]

    def _kept(self, templates: Sequence[Stored], *, crops: bool) -> tuple[KeptTemplate, ...]:
        jpegs = self.reading.crops([crop_id(one.id) for one in templates]) if crops else {}
        return tuple(
            KeptTemplate(
                one.id, one.path, one.box, one.body["detection"], one.body["created"], jpegs.get(crop_id(one.id))
            )
            for one in templates
        )

    def history(self, limit: int, before: int | None = None, name: str | None = None) -> tuple[tuple[Event, ...], int]:
        if name is None:
            return self.journal.history(limit, before, ())
        person = self.reading.person(tidy(name))
        about = [name_hash(tidy(name)), *([person.id] if person else [])]
        return self.journal.history(limit, before, about)

    def trouble(self) -> str:
        return self._moved or str(self._trouble or "")

    # ------------------------------------------------------------------------------------------ changing

    def enrol(self, name: str, pictures: Sequence[NewPicture], *, copies: bool = False) -> Enrolment:
        if not pictures:
            raise ValueError(f"no picture to enrol {name} with")
        with self._writing:
            self._require_current()
            draft, person, added = self.edits.enrol(name, pictures, copies=copies)
            changes = draft.people or draft.templates
            with self._milvus.begun() if changes else nullcontext():
                event = self._commit(draft) if changes else None
                record = self.reading.records([person])[0]
        return Enrolment(
            record,
            tuple(one.template_ids if isinstance(one, Added) else () for one in added),
            tuple(one if isinstance(one, Copy) else None for one in added),
            event,
        )

    def rename(self, name: str, to: str) -> Change:
        with self._writing:
            self._require_current()
            return self._changed(self.edits.rename(name, to))

    def merge(self, names: Sequence[str], into: str) -> Change:
        with self._writing:
            self._require_current()
            return self._changed(self.edits.merge(names, into))

    def split(self, name: str, template_ids: Sequence[int], to: str) -> Change:
        with self._writing:
            self._require_current()
            return self._changed(self.edits.split(name, template_ids, to))

    def remove(self, name: str, template_ids: Sequence[int] = ()) -> Change:
        with self._writing:
            self._require_current()
            return self._changed(self.edits.remove(name, template_ids))

    def undo(self, count: int = 1, last: int | None = None) -> Undoing:
        with self._writing:
            self._require_current()
            draft, numbers = self.journal.undo(count, last)
            with self._milvus.begun():
                event = self._commit(draft)
                undone = self.journal.mark_undone(numbers, event.id)
                return Undoing(event, undone, self._concerned(event))

    def erase(self, name: str) -> Erasure:
        with self._writing:
            self._require_current()
            erasure = erase(self._milvus, self.reading, self.journal, name)
            self._note_change()
            return erasure

    def commit(self, draft: Draft) -> Event:
        """Carry a prepared change out; for builds."""
        with self._writing:
            self._require_current()
            with self._milvus.begun():
                return self._commit(draft)

    def scan_templates(self) -> Iterator[Row]:
        """Every template's whole row, in no order; for builds and copies."""
        return self._milvus.scan(TEMPLATES, "", WHOLE)

    def embeddings(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, d) embeddings of stored vectors, without the little that lies outside the gallery's directions."""
        return self._vectors.embeddings(vectors)

    def _changed(self, draft: Draft) -> Change:
        with self._milvus.begun():
            event = self._commit(draft)
            return Change(event, self._concerned(event))

    def _commit(self, draft: Draft) -> Event:
        event = self.journal.commit(draft)
        bring_back(self._milvus, self.reading, draft)
        if (rest := left_behind(self.reading, draft)) is not None:
            self.journal.commit(rest)
        self._note_change()
        return event

    def _note_change(self) -> None:
        with self._guard:
            self._version += 1

    def _concerned(self, event: Event) -> tuple[PersonRecord, ...]:
        people = (self.reading.person(name) for name in event.names)
        return self.reading.records([person for person in people if person])

    # ------------------------------------------------------------------------------------------ life

    def _require_current(self) -> None:
        """Before a change: nothing is written to another model's gallery. Raises ModelMismatch."""
        self.check_current()
        self._moved = self._mismatch()
        self.check_current()

    def _mismatch(self) -> str | None:
        """Why this server can't go on with what is there now. Takes up a gallery of the same model that was built again
        in its place. Raises Busy and StorageFailed."""
        try:
            made = contract(self._milvus)
            if made is None or made == self._made:
                return None
            if (made.spec, made.cohort) == (self._made.spec, self._made.cohort):
                self._milvus.settle()
                self._take_up(made)
                return None
        except StartError as error:  # another program's collection, or one of a newer version
            raise StorageFailed(str(error)) from error
        return (
            f"the database was moved from {self._made.spec.model} to {made.spec.model} since it was opened: restart the"
            " server to use the new model"
        )

    def refresh(self) -> None:
        """Take in what other servers changed, and whether Milvus is there. Raises Busy and StorageFailed."""
        try:
            self._milvus.look_at_the_clock()
            self._moved = self._mismatch()
            done = self.journal.done()
        except (Busy, StorageFailed) as error:
            self._trouble = error
            raise
        with self._guard:
            if self._trouble is not None or done < self._done:
                self._restored = self._version - done + 1
            self._done = done
            self._version = max(self._version, done + self._restored)
        self._trouble = None

    def watch(self, interval_s: float = WATCH_INTERVAL_S) -> None:
        """Start a thread that calls `refresh` every `interval_s`. Call it once."""
        # A look that takes long waits for Milvus and costs nothing here; once it is back, that is to be noticed soon.
        self._watch = Watch(self.refresh, interval_s, resting_share=0)

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
        with self._writing:
            self._milvus.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connected(address: MilvusAddress) -> Milvus:
    """A connection with the token of the environment. Raises StartError."""
    return Milvus(address, os.environ.get(TOKEN_VARIABLE))


def cohort_of(made: Contract, address: MilvusAddress) -> Cohort | None:
    """The cohort that the gallery's scales were measured with. Raises StartError if it is no longer ours."""
    cohort = Cohort.load(COHORT, made.spec)
    if (cohort.fingerprint if cohort else "") != made.cohort:
        raise StartError(
            f"{address} was built with another version's cohort, so its vectors can't be compared: move it to a file"
            f" with scripts/backup.py import {address} --db FILE, and back with scripts/backup.py export {address}"
            " --db FILE --replace",
            exit_code=2,
        )
    return cohort
