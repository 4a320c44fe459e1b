"""The tables, the journal's triggers, and upgrading an older database. Works on a connection in autocommit mode; opens
nothing.

A database's `user_version` is the number of migrations applied to it. A released migration never changes: append
another one.

The journal is filled by triggers, which catch every way to change a row: cascades, create_db's transaction and future
operations. The database itself refuses a change outside an event (`changes.event_id` would be NULL). `changes` records
which row of which table was inserted, updated or deleted in which event; `old_people` and so on keep the row's previous
state for as long as the event can be undone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

_JOURNAL_TABLES = (
    # op: the operation. detail: JSON, counts for the event's text. undone_by: the event that undid this one. undoable:
    # its kind of operation can be undone, and its rows are still in the journal.
    """CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at TEXT NOT NULL, op TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '{}',
        undone_by INTEGER REFERENCES events(id), undoable INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX events_undoable ON events (id) WHERE undoable AND undone_by IS NULL",
    # Names at the time, so that the journal stays readable after a rename. No foreign key: it outlives the people.
    """CREATE TABLE event_people (
        event_id INTEGER NOT NULL REFERENCES events(id), position INTEGER NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('subject', 'target')), person_id INTEGER NOT NULL, name TEXT NOT NULL,
        PRIMARY KEY (event_id, position)) WITHOUT ROWID""",
    "CREATE INDEX event_people_by_person ON event_people (person_id)",
    "CREATE INDEX event_people_by_name ON event_people (name)",
    """CREATE TABLE changes (
        id INTEGER PRIMARY KEY,
        event_id INTEGER NOT NULL REFERENCES events(id),
        tbl TEXT NOT NULL, row_id INTEGER NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('insert', 'update', 'delete')))""",
    "CREATE INDEX changes_by_event ON changes (event_id)",
    # The changes of events up to the floor were dropped: whoever knows nothing newer must reload everything.
    "INSERT INTO meta (key, value) VALUES ('journal_floor', 0)",
)

_KINDS = ("insert", "update", "delete")

OPEN_EVENT = "open_event"
"""The key in `meta` that holds the open event's id; only present within a transaction."""


def watch(connection: sqlite3.Connection, table: str) -> None:
    """Journal a table with an integer primary key `id`. Call again after adding a column."""
    columns = _columns(connection, table)
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS old_{table}"
        f" (change_id INTEGER PRIMARY KEY REFERENCES changes(id) ON DELETE CASCADE, {', '.join(columns)})"
    )
    for column in set(columns) - set(_columns(connection, f"old_{table}")):
        connection.execute(f"ALTER TABLE old_{table} ADD COLUMN {column}")
    names = ", ".join(columns)
    old = ", ".join(f"OLD.{column}" for column in columns)
    differs = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in columns)
    keep = f"INSERT INTO old_{table} (change_id, {names}) VALUES (last_insert_rowid(), {old});"
    _trigger(connection, table, "insert", "NEW", "", "")
    _trigger(connection, table, "update", "OLD", f"WHEN {differs}", keep)
    _trigger(connection, table, "delete", "OLD", "", keep)


def unwatch(connection: sqlite3.Connection, table: str) -> None:
    """Undo `watch`, but for what was journaled."""
    for kind in _KINDS:
        connection.execute(f"DROP TRIGGER IF EXISTS journal_{table}_{kind}")


def watched(connection: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    """The journaled tables with their columns."""
    query = "SELECT substr(name, 5) FROM sqlite_master WHERE type = 'table' AND name LIKE 'old!_%' ESCAPE '!'"
    return {table: _columns(connection, table) for (table,) in connection.execute(query).fetchall()}


def _columns(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    return tuple(row[1] for row in connection.execute(f"PRAGMA table_info({table})").fetchall())


def _trigger(connection: sqlite3.Connection, table: str, kind: str, row: str, condition: str, keep: str) -> None:
    connection.execute(f"DROP TRIGGER IF EXISTS journal_{table}_{kind}")
    connection.execute(
        f"CREATE TRIGGER journal_{table}_{kind} AFTER {kind.upper()} ON {table} {condition} BEGIN"
        " INSERT INTO changes (event_id, tbl, row_id, kind)"
        f" VALUES ((SELECT value FROM meta WHERE key = '{OPEN_EVENT}'), '{table}', {row}.id, '{kind}');"
        f" {keep} END"
    )


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
    # A query about one picture or person names its index (INDEXED BY): without statistics SQLite would take
    # templates_by_spec, which holds nearly all of them.
    "CREATE INDEX templates_by_image ON templates (image_id)",
    "CREATE INDEX templates_by_person ON templates (person_id)",
    "CREATE INDEX templates_by_spec ON templates (spec_id)",
)


def _create_tables(connection: sqlite3.Connection) -> None:
    for statement in _FIRST_TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _create_journal(connection: sqlite3.Connection) -> None:
    for statement in _JOURNAL_TABLES:
        connection.execute(statement)
    for table in ("people", "images", "templates"):
        watch(connection, table)


def _create_crops(connection: sqlite3.Connection) -> None:
    # id: the template's. A separate table, so that loading the embeddings doesn't read past the JPEGs.
    connection.execute(
        "CREATE TABLE crops (id INTEGER PRIMARY KEY REFERENCES templates(id) ON DELETE CASCADE, jpeg BLOB NOT NULL)"
    )
    watch(connection, "crops")


def _add_fingerprints(connection: sqlite3.Connection) -> None:
    # Perceptual hash (server.vision.analyser); NULL if not computed.
    connection.execute("ALTER TABLE images ADD COLUMN fingerprint BLOB")
    watch(connection, "images")


def _add_callers(connection: sqlite3.Connection) -> None:
    # By which token, and from where; empty for commands of this machine, and for events of before.
    for column in ("token", "address"):
        connection.execute(f"ALTER TABLE events ADD COLUMN {column} TEXT NOT NULL DEFAULT ''")


MIGRATIONS: tuple[Migration, ...] = (_create_tables, _create_journal, _create_crops, _add_fingerprints, _add_callers)


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
