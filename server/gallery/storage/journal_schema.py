"""The journal's tables, and the triggers that fill it.

Triggers catch every way to change a row: cascades, create_db's transaction and future operations. The database itself
refuses a change outside an event (`changes.event_id` would be NULL).

`changes` records which row of which table was inserted, updated or deleted in which event; `old_people` and so on keep
the row's previous state for as long as the event can be undone.
"""

from __future__ import annotations

import sqlite3

TABLES = (
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
