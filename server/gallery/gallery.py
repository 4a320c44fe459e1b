"""`Gallery`: the people this server knows. The rest of the server speaks to this class and to nothing behind it.

SQLite is the truth; memory holds a snapshot of it, and reading needs nothing else. A change is committed first and then
published by swapping one reference: a reader has the old snapshot or the new one, whole, and never waits. A crash
between the two loses nothing, for the next start reads what was committed.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from server.errors import ModelMismatch, StartError, UnknownPerson
from server.gallery.graph_keeper import EXACT_BYTES, GraphKeeper
from server.gallery.names import person_name
from server.gallery.records import Counts, Match, NewPicture, PersonRecord, Templates
from server.gallery.refresh import refreshed
from server.gallery.rows import Chunk, Rows
from server.gallery.snapshot import Snapshot
from server.gallery.store import Store, Written
from server.gallery.watch import WATCH_INTERVAL_S, Watch
from server.spec import EmbeddingSpec

_log = logging.getLogger("facewire.gallery")


class Gallery:
    """A gallery open for any number of threads."""

    def __init__(self, store: Store, snapshot: Snapshot, keeper: GraphKeeper) -> None:
        """Use `open` or `create`."""
        self._store = store
        self._keeper = keeper
        # Guards the connection, and the order in which commits are published. Readers don't take it.
        self._writing = threading.Lock()
        self._watch: Watch | None = None
        # Why nothing may be compared with what is enrolled, or None. Replaced as a whole.
        self._moved: str | None = None
        self._complaint = ""  # guarded by _writing
        self._publish(snapshot)

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
            return cls._over(store, path, exact_bytes)
        except StartError:
            store.close()
            raise

    @classmethod
    def create(cls, path: Path, spec: EmbeddingSpec, *, exact_bytes: int = EXACT_BYTES) -> Self:
        """An empty gallery for embeddings of `spec`. Raises StartError where `path` exists or can't be written."""
        return cls._over(Store.create(path, spec), path, exact_bytes)

    @classmethod
    def _over(cls, store: Store, path: Path, exact_bytes: int) -> Self:
        keeper = GraphKeeper(path, store.spec, exact_bytes)
        return cls(store, _load(store, path, keeper), keeper)

    @property
    def spec(self) -> EmbeddingSpec:
        """What its embeddings are; probes must be the same."""
        return self._store.spec

    @property
    def version(self) -> int:
        """Grows with every published change."""
        return self._snapshot.version

    def search(self, embedding: NDArray[np.float32], k: int) -> tuple[Match, ...]:
        """The `k` people nearest to a probe, each by their best template, most similar first, equals by name.

        `embedding`: (d,) float32 of unit length. Fewer than `k` where fewer are enrolled; none in an empty gallery.
        Raises ModelMismatch for another dimension, or where another model took over the database; ValueError for a
        length other than 1, a NaN, or k < 1.
        """
        self.check_current()
        return self._snapshot.search(embedding, k)

    def check_current(self) -> None:
        """Raises ModelMismatch, which says what to do, where the database was seen to be of another model by now."""
        if self._moved is not None:
            raise ModelMismatch(self._moved)

    def people(self, offset: int = 0, limit: int | None = None) -> tuple[tuple[PersonRecord, ...], int]:
        """A page of everybody by name, and how many there are in all."""
        listing = self._snapshot.listing
        return listing[offset : None if limit is None else offset + limit], len(listing)

    def counts(self) -> Counts:
        """How much is enrolled."""
        return self._snapshot.counts

    def templates(self) -> Templates:
        """Every template at this instant, read-only, without a copy."""
        rows = self._snapshot.rows
        return Templates(rows.embeddings, rows.person_ids)

    def enrol(self, name: str, pictures: Sequence[NewPicture]) -> PersonRecord:
        """Add pictures to a person, who is added where unknown; all of them or, on an error, none.

        In force for every reader, and on disk, when this returns. A picture that the person has already, with the
        same bytes or re-encoded or resized, is left out. Raises ValueError for a name that is none, pictures that are
        none, or an embedding that isn't unit; ModelMismatch for embeddings of another model.
        """
        if not pictures:
            raise ValueError(f"no picture to enrol {name} with")
        with self._writing:
            with self._transaction():
                person = self._store.ensure_person(person_name(name))
                added = [
                    (picture, written) for picture in pictures if (written := self._add(person.id, picture)) is not None
                ]
            old = self._snapshot
            self._publish(
                replace(
                    old,
                    version=old.version + 1,
                    rows=old.rows.appended(_chunk(person.id, added)) if added else old.rows,
                    people={**old.people, person.id: person},
                    paths={**old.paths, **{written.image_id: picture.path for picture, written in added}},
                )
            )
            return self._snapshot.record(person.id)

    def _add(self, person_id: int, picture: NewPicture) -> Written | None:
        """Write a picture that the person doesn't have in any format or size; None where they do."""
        if picture.fingerprint and self._store.lookalike(person_id, picture.fingerprint) is not None:
            return None
        return self._store.add_picture(person_id, picture)

    def remove_picture(self, name: str, sha256: str) -> PersonRecord:
        """Remove a person's picture, by its bytes, with its templates; the person stays, even without any.

        What the person doesn't have needs no removing. Raises UnknownPerson.
        """
        with self._writing:
            with self._transaction():
                person = self._store.person(person_name(name))
                if person is None:
                    raise UnknownPerson(f"nobody called {name} is enrolled")
                image_id = self._store.image_id(person.id, sha256)
                if image_id is not None:
                    self._store.remove_image(image_id)
            old = self._snapshot
            self._publish(
                replace(
                    old,
                    version=old.version + 1,
                    rows=old.rows if image_id is None else old.rows.without_image(image_id),
                    people={**old.people, person.id: person},
                    paths={key: path for key, path in old.paths.items() if key != image_id},
                )
            )
            return self._snapshot.record(person.id)

    def watch(self, interval_s: float = WATCH_INTERVAL_S) -> None:
        """From here on, take in what other processes commit, at most `interval_s` later. To be called once."""
        self._watch = Watch(self.look_again, interval_s)

    def look_again(self) -> bool:
        """Take in what other processes committed, if anything. Readers go on meanwhile.

        A database that can't be read just now is logged, and looked at again the next time.
        """
        with self._writing:
            try:
                if not self._store.has_news():
                    return False
                with self._store.reading():
                    self._take_in()
            except (sqlite3.Error, ValueError) as error:
                self._complain(f"what others changed in the database can't be read: {error}")
            except ModelMismatch as error:
                self._moved = str(error)
                self._complain(self._moved)
            return True

    def _complain(self, message: str) -> None:
        """Log what is wrong once, not at every look."""
        if message != self._complaint:
            _log.error("%s", message)
        self._complaint = message

    def close(self) -> None:
        """Close the database; a writer under way finishes first. Searching goes on working on what is in memory.

        A large gallery saves its index beside the database, for the next start.
        """
        if self._watch is not None:
            self._watch.close()
        with self._writing:
            self._store.close()
        self._keeper.close()

    def wait_until_indexed(self, timeout_s: float | None = None) -> bool:
        """Wait until search is as fast as it gets, for benchmarks and tests; it is right all the time.

        False where that took longer than `timeout_s`.
        """
        return self._keeper.wait_until_settled(timeout_s)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """A transaction on what this gallery knows: first, what other processes committed is taken in and published.

        So ids and counts in memory are those on disk, and rows that are added are newer than all others. Raises
        ModelMismatch where another model took over.
        """
        with self._store.transaction():
            if self._store.has_news():
                self._take_in()
            self._store.require_spec()
            yield

    def _take_in(self) -> None:
        """Read what is committed and publish it; in a transaction, with the lock held. Raises ModelMismatch."""
        self._store.require_spec()
        fresh = refreshed(self._store, self._snapshot)
        self._store.mark_seen()
        self._publish(fresh.snapshot, afresh=fresh.afresh)
        self._moved, self._complaint = None, ""

    def _publish(self, snapshot: Snapshot, *, afresh: bool = False) -> None:
        """Let readers see `snapshot`. By one thread at a time. `afresh`: see `GraphKeeper.follow`."""
        # The keeper first: a graph that is unfit for these rows must not be asked about them.
        self._keeper.follow(snapshot.rows, afresh=afresh)
        self._snapshot = snapshot

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _load(store: Store, path: Path, keeper: GraphKeeper) -> Snapshot:
    """What is committed: rows, people and paths of one instant. Raises StartError where templates are damaged."""
    with store.reading():
        try:
            store.mark_seen()
            rows = Rows.load(store.template_count(), store.spec.dimension, store.template_chunks())
            people = {person.id: person for person in store.people()}
            paths = dict(store.image_paths())
            return Snapshot(1, rows, people, paths, keeper.index_over, store.epoch())
        except (ModelMismatch, ValueError, sqlite3.DatabaseError) as error:
            raise StartError(f"{path} is damaged: {error}; restore a backup or build it anew") from error


def _chunk(person_id: int, added: Sequence[tuple[NewPicture, Written]]) -> Chunk:
    """The rows of pictures just written, in the order of their template ids."""
    embeddings = [template.embedding for picture, _ in added for template in picture.templates]
    template_ids = [template_id for _, written in added for template_id in written.template_ids]
    image_ids = [written.image_id for _, written in added for _ in written.template_ids]
    return Chunk(np.stack(embeddings), template_ids, image_ids, [person_id] * len(template_ids))
