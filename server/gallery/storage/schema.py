"""The tables, and upgrading an older database. Works on a connection in autocommit mode; opens nothing.

A database's `user_version` is the number of migrations applied to it. A released migration never changes: append
another one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from facewire.server.gallery.storage import journal_schema

APPLICATION_ID = int.from_bytes(b"FWGL", "big")
"""Identifies a SQLite file as a facewire gallery (`PRAGMA application_id`), to tell it from other programs' files."""

CURRENT_SPEC_ID = "(SELECT value FROM meta WHERE key = 'spec_id')"
"""SQL for the id of the gallery's current spec. Templates of other specs may be stored beside its own."""

Migration = Callable[[sqlite3.Connection], None]

_FIRST_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    # Specs by id, because both models' templates are stored during a migration to another model.
    "CREATE TABLE specs (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, json TEXT NOT NULL)",
    # AUTOINCREMENT: ids are never reused, so a journal, an index file or a client may store them.
    "CREATE TABLE people (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, created TEXT NOT NULL)",
    # source: the folder that path is relative to; NULL for a picture received over the wire.
    """CREATE TABLE images (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        person_id INTEGER NOT NULL REFERENCES people(id) ON DELETE CASCADE,
        sha256 TEXT NOT NULL, size INTEGER NOT NULL,
        source TEXT, path TEXT NOT NULL, mtime_ns INTEGER,
        width INTEGER NOT NULL, height INTEGER NOT NULL,
        created TEXT NOT NULL,
        UNIQUE (person_id, sha256))""",
    "CREATE INDEX images_by_path ON images (source, path)",
    "CREATE INDEX images_by_sha256 ON images (sha256)",
    # person_id: the picture's (see storage.edits), repeated here so that loading templates needs no join.
    # embedding: float32, little endian. landmarks: JSON, [[x, y], ...].
    """CREATE TABLE templates (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        image_id INTEGER NOT NULL REFERENCES images(id) ON DELETE CASCADE,
        person_id INTEGER NOT NULL REFERENCES people(id) ON DELETE CASCADE,
        spec_id INTEGER NOT NULL REFERENCES specs(id),
        x REAL NOT NULL, y REAL NOT NULL, w REAL NOT NULL, h REAL NOT NULL,
        landmarks TEXT NOT NULL, detection REAL NOT NULL,
        embedding BLOB NOT NULL)""",
    "CREATE INDEX templates_by_image ON templates (image_id)",
    "CREATE INDEX templates_by_person ON templates (person_id)",
    "CREATE INDEX templates_by_spec ON templates (spec_id)",
)


def _create_tables(connection: sqlite3.Connection) -> None:
    for statement in _FIRST_TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _create_journal(connection: sqlite3.Connection) -> None:
    for statement in journal_schema.TABLES:
        connection.execute(statement)
    for table in ("people", "images", "templates"):
        journal_schema.watch(connection, table)


def _create_crops(connection: sqlite3.Connection) -> None:
    # id: the template's. A separate table, so that loading the embeddings doesn't read past the JPEGs.
    connection.execute(
        "CREATE TABLE crops (id INTEGER PRIMARY KEY REFERENCES templates(id) ON DELETE CASCADE, jpeg BLOB NOT NULL)"
    )
    journal_schema.watch(connection, "crops")


def _add_fingerprints(connection: sqlite3.Connection) -> None:
    # Perceptual hash (server.vision.fingerprint); NULL if not computed.
    connection.execute("ALTER TABLE images ADD COLUMN fingerprint BLOB")
    journal_schema.watch(connection, "images")


MIGRATIONS: tuple[Migration, ...] = (_create_tables, _create_journal, _create_crops, _add_fingerprints)


def version_of(connection: sqlite3.Connection) -> int:
    """The number of migrations applied. Raises sqlite3.DatabaseError if it is not a database."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def is_gallery(connection: sqlite3.Connection) -> bool:
    """Whether the database is one of ours. Raises sqlite3.DatabaseError if it is not a database."""
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    return bool(mark == APPLICATION_ID)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Apply all pending migrations, each in its own transaction.

    Safe to repeat, to interrupt, and to run in several processes at once: each transaction skips what is already done.
    """
    for number, migration in enumerate(migrations, start=1):
        if version_of(connection) >= number:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            if version_of(connection) < number:  # another process may have done it before we got the lock
                migration(connection)
                connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
