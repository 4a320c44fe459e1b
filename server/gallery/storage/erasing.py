"""Erasing a person for good: from the tables, the journal, SQLite's free pages and its write-ahead log."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from facewire.server.gallery.events import Found
from facewire.server.gallery.storage import journal
from facewire.server.gallery.storage.connection import BUSY_TIMEOUT_MS
from facewire.server.gallery.storage.edits import require
from facewire.server.gallery.storage.journal import Draft
from facewire.server.gallery.storage.store import Store

_PENDING = "wipe_pending"

PATIENCE_MS = 5_000
"""How long to wait for other processes' readers before reporting the erasure as incomplete. Our own readers take
less."""


def erase(store: Store, draft: Draft, name: str) -> Found:
    """Delete a person and all data about them, in the caller's transaction. Raises UnknownPerson.

    The journal loses the undo data of all people, because merges and splits may have left this person's templates
    anywhere in it.
    """
    person = require(store, name)
    mine = "SELECT id FROM templates WHERE person_id = ?"
    images, sources = _row(store, "SELECT count(*), count(source) FROM images WHERE person_id = ?", person.id)
    (templates,) = _row(store, f"SELECT count(*) FROM ({mine})", person.id)
    (crops,) = _row(store, f"SELECT count(*) FROM crops WHERE id IN ({mine})", person.id)
    store.execute("DELETE FROM people WHERE id = ?", (person.id,))
    journal.forget_names(store, person.id)
    dropped = journal.forget_before(store, draft.id)
    journal.forget_content(store, draft.id)
    draft.detail |= {"images": images, "templates": templates}
    store.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, 1)", (_PENDING,))
    return Found(images, templates, crops, dropped, sources)


def is_pending(store: Store) -> bool:
    """Whether an erasure's `wipe` did not complete: it was killed, or another process was reading."""
    return store.execute("SELECT 1 FROM meta WHERE key = ?", (_PENDING,)).fetchone() is not None


def wipe(store: Store, path: Path) -> str:
    """Rewrite the database without deleted data, and empty the write-ahead log; outside any transaction.

    SQLite overwrites deleted data (secure_delete), but may leave older copies where it moved rows between pages.
    Returns an empty string if everything is gone; otherwise what is left, and what to do.
    """
    store.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")
    try:
        store.execute("VACUUM")
        (blocked, _, _) = store.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not blocked:
            store.execute("DELETE FROM meta WHERE key = ?", (_PENDING,))
    except sqlite3.DatabaseError as error:  # the erasure itself is committed
        return (
            f"old copies may lie in {path.name} a while longer ({error}): erasing again, or somebody else, removes them"
        )
    finally:
        store.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    if blocked:
        return f"another process is still reading {path.name}: old copies stay in its log until the server is restarted"
    return ""


def _row(store: Store, query: str, person_id: int) -> tuple[int, ...]:
    row: tuple[int, ...] = store.execute(query, (person_id,)).fetchone()
    return row
