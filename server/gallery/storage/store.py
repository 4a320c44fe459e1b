"""The gallery on disk: transactions, reading and writing rows. The only module that imports sqlite_utils."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from facewire.server.errors import ModelMismatch, StartError
from facewire.server.gallery.records import Copy, Counts, NewPicture, NewTemplate, Person
from facewire.server.gallery.search.index import check_unit
from facewire.server.gallery.search.lookalikes import Lookalikes
from facewire.server.gallery.search.rows import Chunk
from facewire.server.gallery.storage import lineage, schema
from facewire.server.gallery.storage.connection import (
    check_ours,
    clear_place,
    configure,
    connect,
    current_spec,
    now,
    prepare_file,
    settle,
    tighten,
    use_log,
)
from facewire.server.spec import EmbeddingSpec
from facewire.server.storage import os_reason, reason_of

if TYPE_CHECKING:
    from sqlite_utils import Database

CHUNK_ROWS = 512
"""Rows read at once: 1 MB at 512 dimensions, which stays in the processor's cache until it is in its place."""

LITTLE_ENDIAN = np.dtype("<f4")


class Written(NamedTuple):
    """The ids assigned to a picture and its templates."""

    image_id: int
    template_ids: tuple[int, ...]


class Transaction:
    """A transaction in progress."""

    given_up = False

    def give_up(self) -> None:
        """Roll the transaction back at its end, without an error."""
        self.given_up = True


class Store:
    """One connection to one gallery. Not thread-safe: threads that share it need a lock."""

    def __init__(self, connection: sqlite3.Connection, spec: EmbeddingSpec, spec_id: int) -> None:
        """Use `open` or `create`."""
        self._connection = connection
        self._spec_id = spec_id
        self._watched: dict[str, tuple[str, ...]] = {}
        self.spec = spec

    @classmethod
    def open(cls, path: Path, *, another: bool = False) -> Self:
        """Open the gallery at `path` and migrate it. Raises StartError; creates nothing.

        `another`: this process has it open already, so the files beside it were checked.
        """
        if not path.is_file():
            raise StartError(
                f"no database at {path}: build it with scripts/create_db.py FOLDER --db {path}, or make one of nobody,"
                f" to be filled through the server, with scripts/create_db.py --empty --db {path}",
                exit_code=2,
            )
        if not another:
            settle(path)
        connection = connect(path, "rw")
        try:
            check_ours(connection, path)
            if not another:
                tighten(path)
            configure(connection)
            use_log(connection)
            schema.migrate(connection)
            lineage.begin(connection)
            spec_id, spec = current_spec(connection, path)
        except sqlite3.Error as error:
            connection.close()
            raise StartError(f"cannot open {path}: {reason_of(error, path) or error}") from error
        except StartError:
            connection.close()
            raise
        return cls(connection, spec, spec_id)

    @classmethod
    def create(cls, path: Path, spec: EmbeddingSpec) -> Self:
        """Create an empty gallery at `path`. Raises StartError if the path exists or can't be written."""
        if path.exists():
            raise StartError(f"{path} exists already", exit_code=2)
        try:
            clear_place(path)
            prepare_file(path)
            return cls._filled(connect(path, "rw"), spec)
        except sqlite3.Error as error:
            reason = reason_of(error, path) or str(error)
            path.unlink()  # an unfinished file would be mistaken for a damaged gallery
            raise StartError(f"cannot create {path}: {reason}") from error
        except OSError as error:
            raise StartError(f"cannot create {path}: {os_reason(error)}") from error

    @classmethod
    def _filled(cls, connection: sqlite3.Connection, spec: EmbeddingSpec) -> Self:
        try:
            use_log(connection)
            configure(connection)
            schema.migrate(connection)
            store = cls(connection, spec, spec_id=0)
            with store.transaction():
                store.adopt_spec(spec)
            # From here on the file alone is a complete gallery with a mark.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error:
            connection.close()
            raise
        return store

    @cached_property
    def _db(self) -> Database:
        # Imported here because sqlite_utils imports pandas if installed, 0.4 s and 40 MB that a server which only reads
        # its gallery can do without.
        from sqlite_utils import Database

        return Database(self._connection, execute_plugins=False)

    def close(self) -> None:
        """Close the connection. Committed changes are on disk already."""
        self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """All reads inside see the same instant. Neither waits for nor blocks anybody."""
        self.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            self._connection.rollback()

    @contextmanager
    def transaction(self, after: bytes | None = None) -> Iterator[Transaction]:
        """Commits on success, rolls back on an error. BEGIN IMMEDIATE makes it wait for other writers at the start (see
        `connect`). `after`: mark of the state it continues from, see `lineage`.

        People, pictures and templates can only be changed within an event of the journal (see `journal`).
        """
        transaction = Transaction()
        self.execute("BEGIN IMMEDIATE")
        try:
            yield transaction
            if not transaction.given_up:
                lineage.advance(self._connection, after)
                self.execute("COMMIT")
        finally:
            self._connection.rollback()

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        """Execute a statement of this package's own SQL."""
        return self._connection.execute(sql, parameters)

    def mark(self) -> bytes | None:
        """The mark of the newest transaction, see `lineage`."""
        return lineage.mark(self._connection)

    def adopt_spec(self, spec: EmbeddingSpec) -> None:
        """Make `spec` the gallery's current spec, in the caller's transaction."""
        cursor = self.execute(
            "INSERT INTO specs (fingerprint, json) VALUES (?, ?)"
            " ON CONFLICT (fingerprint) DO UPDATE SET json = excluded.json RETURNING id",
            (spec.fingerprint, spec.to_json()),
        )
        self._spec_id = int(cursor.fetchone()[0])
        self._db.table("meta").upsert({"key": "spec_id", "value": self._spec_id}, pk="key")
        self.spec = spec

    def require_spec(self) -> None:
        """Check that the gallery on disk still has this store's spec, in the caller's transaction.

        Another process may have rebuilt or migrated it for another model meanwhile. Raises ModelMismatch.
        """
        query = f"SELECT id, fingerprint, json FROM specs WHERE id = {schema.CURRENT_SPEC_ID}"
        row = self.execute(query).fetchone()
        if row is None or row[1] != self.spec.fingerprint:
            now = "another model" if row is None else EmbeddingSpec.from_json(row[2]).model
            raise ModelMismatch(
                f"the database was moved from {self.spec.model} to {now} since it was opened: restart the server to"
                " use the new model"
            )
        self._spec_id = int(row[0])  # the id changes when a backup is restored

    def epoch(self) -> str:
        """A token that changes whenever ids may change their meaning: a backup was restored, or another spec took
        over."""
        row = self.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        return str(row[0]) if row else ""

    def begin_epoch(self) -> None:
        """Make every process that has this gallery open reload all of it; in the caller's transaction."""
        self._db.table("meta").upsert({"key": "epoch", "value": secrets.token_hex(8)}, pk="key")

    def index_token(self) -> str:
        """The token of the newest index file written of this database, or of one that it continues; empty if there is
        none."""
        row = self.execute("SELECT value FROM meta WHERE key = 'index'").fetchone()
        return str(row[0]) if row else ""

    def keep_index_token(self, token: str) -> None:
        """Note that an index file with this token shows the current state; in the caller's transaction."""
        self.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('index', ?)", (token,))

    def person(self, name: str) -> Person | None:
        """The person with exactly that name."""
        row = self.execute("SELECT id, name, created FROM people WHERE name = ?", (name,)).fetchone()
        return Person(*row) if row else None

    def ensure_person(self, name: str) -> Person:
        """The person with that name, created if unknown, in the caller's transaction."""
        cursor = self.execute(
            "INSERT INTO people (name, created) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id, name, created",
            (name, now()),
        )
        return Person(*cursor.fetchone())

    def watched_tables(self) -> dict[str, tuple[str, ...]]:
        """The journaled tables with their columns."""
        if not self._watched:
            self._watched = schema.watched(self._connection)
        return self._watched

    def pause_journal(self) -> None:
        """Until `resume_journal`, changes are not journaled: for a file that nobody else has yet."""
        for table in self.watched_tables():
            schema.unwatch(self._connection, table)

    def resume_journal(self) -> None:
        """Undo `pause_journal`."""
        for table in self.watched_tables():
            schema.watch(self._connection, table)

    def add_picture(self, person_id: int, picture: NewPicture) -> Written | None:
        """Write a picture and its templates, in the caller's transaction. None if the person already has a picture with
        these bytes.

        Raises ModelMismatch or ValueError (see `check_unit`) on an embedding that doesn't fit this gallery.
        """
        if not picture.templates:
            raise ValueError(f"{picture.path} brings no template")
        cursor = self.execute(
            "INSERT INTO images (person_id, sha256, size, source, path, mtime_ns, width, height, fingerprint, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
            (
                *(person_id, picture.sha256, picture.size_bytes, picture.source, picture.path, picture.mtime_ns),
                *(picture.width, picture.height, picture.fingerprint, now()),
            ),
        )
        row = cursor.fetchone()
        if row is None:
            return None
        return Written(row[0], tuple(self._add_template(person_id, row[0], template) for template in picture.templates))

    def _add_template(self, person_id: int, image_id: int, template: NewTemplate) -> int:
        check_unit(template.embedding, self.spec.dimension)
        blob = template.embedding.astype(LITTLE_ENDIAN).tobytes()
        landmarks = json.dumps(template.landmarks)
        cursor = self.execute(
            "INSERT INTO templates (image_id, person_id, spec_id, x, y, w, h, landmarks, detection, embedding)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (image_id, person_id, self._spec_id, *template.box, landmarks, template.detection, blob),
        )
        template_id = int(cursor.fetchone()[0])
        if template.crop is not None:
            self.execute("INSERT INTO crops (id, jpeg) VALUES (?, ?)", (template_id, template.crop))
        return template_id

    def remove_image(self, image_id: int) -> None:
        """Remove a picture and its templates, in the caller's transaction."""
        self.execute("DELETE FROM images WHERE id = ?", (image_id,))

    def image_id(self, person_id: int, sha256: str) -> int | None:
        """The id of the person's picture with these bytes."""
        query = "SELECT id FROM images WHERE person_id = ? AND sha256 = ?"
        row = self.execute(query, (person_id, sha256)).fetchone()
        return int(row[0]) if row else None

    def lookalike(self, person_id: int, fingerprint: bytes) -> Copy | None:
        """The person's picture that shows the same as the one with this fingerprint, in any format and size."""
        query = "SELECT path, fingerprint FROM images WHERE person_id = ? AND fingerprint IS NOT NULL"
        paths, seen = [], Lookalikes()
        for path, known in self.execute(query, (person_id,)):
            paths.append(str(path))
            seen.add(known)
        found = seen.nearest(fingerprint)
        return None if found is None else Copy(paths[found[0]], found[1])

    def counts(self) -> Counts:
        """Numbers of people, pictures and templates on disk."""
        people, images = (self._db.table(name).count for name in ("people", "images"))
        return Counts(people, images, self.template_count())

    def people(self) -> Iterator[Person]:
        """Everybody, by id."""
        return (Person(*row) for row in self.execute("SELECT id, name, created FROM people ORDER BY id"))

    def image_paths(self) -> Iterator[tuple[int, str]]:
        """(image id, path) of every picture."""
        return iter(self.execute("SELECT id, path FROM images"))

    def template_count(self) -> int:
        """The number of templates of the current spec."""
        query = "SELECT count(*) FROM templates WHERE spec_id = ?"
        return int(self.execute(query, (self._spec_id,)).fetchone()[0])

    def contents(self) -> Iterator[tuple[str, NewPicture]]:
        """Every picture with its templates of the current spec, sorted by id, and its person's name."""
        pictures = (
            "SELECT i.id, p.name, i.sha256, i.size, i.path, i.width, i.height, i.source, i.mtime_ns, i.fingerprint"
            " FROM images i JOIN people p ON p.id = i.person_id ORDER BY i.id"
        )
        for image_id, name, sha256, size, path, width, height, source, mtime_ns, fingerprint in self.execute(pictures):
            templates = tuple(self._templates_of(image_id))
            if templates:
                yield (
                    name,
                    NewPicture(sha256, size, path, width, height, templates, source, mtime_ns, fingerprint),
                )

    def _templates_of(self, image_id: int) -> Iterator[NewTemplate]:
        query = (
            "SELECT t.embedding, t.x, t.y, t.w, t.h, t.landmarks, t.detection, c.jpeg"
            " FROM templates t INDEXED BY templates_by_image LEFT JOIN crops c ON c.id = t.id"
            " WHERE t.image_id = ? AND t.spec_id = ? ORDER BY t.id"
        )
        for blob, x, y, w, h, landmarks, detection, jpeg in self.execute(query, (image_id, self._spec_id)):
            points = tuple((float(left), float(top)) for left, top in json.loads(landmarks))
            yield NewTemplate(np.frombuffer(blob, LITTLE_ENDIAN), (x, y, w, h), points, detection, jpeg)

    def template_chunks(self, where: str = "true", parameters: Sequence[object] = ()) -> Iterator[Chunk]:
        """Every template of the current spec, sorted by id. Raises ValueError on one of the wrong length."""
        # NOT INDEXED: in the order of the ids, which is that of the file, instead of looking up each by its spec.
        query = (
            "SELECT id, image_id, person_id, embedding FROM templates NOT INDEXED"
            f" WHERE spec_id = ? AND {where} ORDER BY id"
        )
        cursor = self.execute(query, (self._spec_id, *parameters))
        width = self.spec.dimension * LITTLE_ENDIAN.itemsize
        while rows := cursor.fetchmany(CHUNK_ROWS):
            template_ids, image_ids, person_ids, blobs = zip(*rows, strict=True)
            if set(map(len, blobs)) != {width}:
                raise ValueError(f"a template is not {width} bytes long")
            embeddings = np.frombuffer(b"".join(blobs), dtype=LITTLE_ENDIAN).reshape(len(blobs), self.spec.dimension)
            yield Chunk(embeddings, template_ids, image_ids, person_ids)
