"""Complete copies of a gallery: taken while it is in use, and restored in one transaction while it is in use.

SQLite's backup copies the pages as of one instant, even if somebody writes meanwhile. A restored gallery gets a new
epoch, so every process that has it open reloads all of it, and ids that were assigned before or after the copy was made
are never reused.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from facewire.server.durable import fsync_path, put_in_place
from facewire.server.errors import StartError
from facewire.server.gallery.records import Counts
from facewire.server.gallery.storage import lineage
from facewire.server.gallery.storage.connection import (
    OWNER_ONLY,
    check_ours,
    clear_place,
    connect,
    current_spec,
    discard_companions,
    settle,
)
from facewire.server.gallery.storage.store import Store
from facewire.server.spec import EmbeddingSpec
from facewire.server.storage import Connection, read_only

RESTORING = "-restoring"


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a verified copy. `newest`: when the newest picture was enrolled, ISO 8601, or None."""

    spec: EmbeddingSpec
    counts: Counts
    newest: str | None


def save(db: Path, target: Path) -> Content:
    """Copy the gallery at `db` to `target`, which appears only once it is complete and verified.

    Raises StartError, sqlite3.Error or OSError; `target` then does not exist, or is unchanged.
    """
    if not db.is_file():
        raise StartError(f"no database at {db}", exit_code=2)
    fresh = target.with_name(target.name + ".new")
    settle(db)
    try:
        with closing(connect(db, "rw")) as source:
            check_ours(source, db)
            _copy(source, fresh)
        _set_apart(fresh)
        content = check(fresh)
        put_in_place(fresh, target)
    finally:
        fresh.unlink(missing_ok=True)
        discard_companions(fresh)
    return content


def check(path: Path) -> Content:
    """Verify that a copy is an intact gallery of this version or older, with a readable spec.

    Writes nothing to it. Raises StartError, which says what is wrong.
    """
    if not path.is_file():
        raise StartError(f"no file at {path}", exit_code=2)
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        raise StartError(f"{path} is in use, or was copied with its log: take copies with scripts/backup.py save")
    # immutable: nobody writes to a copy, and no -wal or -shm file may appear beside it.
    with closing(read_only(path)) as connection:
        try:
            check_ours(connection, path)
            problems = [row[0] for row in connection.execute("PRAGMA integrity_check").fetchall()]
            if problems != ["ok"]:
                raise StartError(f"{path} is damaged: {problems[0]}")
            if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
                raise StartError(f"{path} is damaged: rows refer to others that are not there")
            return _content(connection, path)
        except sqlite3.DatabaseError as error:
            raise StartError(f"{path} is damaged: {error}") from error


def restore(source: Path, db: Path, *, other_spec: bool, keep: Callable[[], object]) -> Content:
    """Replace the gallery at `db`, if any, by the one in `source`, in one transaction, even while it is being served.

    `other_spec`: allow different models. `keep`: called just before anything is changed, after all checks have passed.
    The caller holds the build lock. Raises StartError, sqlite3.Error or OSError; the gallery is then unchanged.
    """
    content = check(source)
    ready = db.with_name(db.name + RESTORING)
    discard(ready)
    try:
        _prepare(source, ready, db if db.exists() else None, other_spec=other_spec)
        if db.exists():
            keep()
            with closing(connect(ready, "rw")) as fresh, closing(connect(db, "rw")) as target:
                fresh.backup(target)
                target.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        else:
            clear_place(db)
            put_in_place(ready, db)
    finally:
        discard(ready)
    return content


def _prepare(source: Path, ready: Path, db: Path | None, *, other_spec: bool) -> None:
    """Copy `source` to `ready`, migrate it, give it a new epoch, and reserve the ids that `db` has assigned."""
    working_copy(source, ready)
    with closing(Store.open(ready)) as store:
        given: dict[str, int] = {}
        before = None
        if db is not None:
            with closing(Store.open(db)) as current:
                if current.spec != store.spec and not other_spec:
                    raise StartError(
                        f"{source} holds embeddings of {store.spec.model} ({store.spec.fingerprint}), {db} those of"
                        f" {current.spec.model} ({current.spec.fingerprint}): say --other-model to restore it all the"
                        " same, and restart the server afterwards",
                        exit_code=2,
                    )
                given = dict(current.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
                before = current.mark()
        with store.transaction(after=before):
            store.begin_epoch()
            for table, last in given.items():
                if store.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (last, table)).rowcount:
                    continue
                store.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))


def working_copy(source: Path, ready: Path) -> None:
    """Copy the backup copy `source`, which stays as it is, to a file that `Store` may open."""
    with closing(read_only(source)) as copied:
        _copy(copied, ready)
    with closing(sqlite3.connect(ready, factory=Connection)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def _copy(source: sqlite3.Connection, path: Path) -> None:
    """Copy the pages as of one instant to a new file, which is on disk when this returns."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, OWNER_ONLY))
    with closing(sqlite3.connect(path, factory=Connection)) as target:
        source.backup(target)
        # A single file: a copy that is moved elsewhere must not lose its log.
        target.execute("PRAGMA journal_mode = DELETE")
    fsync_path(path)


def _set_apart(path: Path) -> None:
    """Give the copy a mark of its own, so that it never matches a log of the gallery it was made from."""
    with closing(sqlite3.connect(path, factory=Connection, isolation_level=None)) as copy:
        copy.execute("BEGIN IMMEDIATE")
        lineage.advance(copy)
        copy.execute("COMMIT")
    fsync_path(path)


def _content(connection: sqlite3.Connection, path: Path) -> Content:
    spec_id, spec = current_spec(connection, path)
    (people,) = connection.execute("SELECT count(*) FROM people").fetchone()
    (images,) = connection.execute("SELECT count(*) FROM images").fetchone()
    (templates,) = connection.execute("SELECT count(*) FROM templates WHERE spec_id = ?", (spec_id,)).fetchone()
    (newest,) = connection.execute("SELECT max(created) FROM images").fetchone()
    return Content(spec, Counts(people, images, templates), newest)


def discard(path: Path) -> None:
    """Remove a working copy with what lies beside it."""
    path.unlink(missing_ok=True)
    discard_companions(path)
