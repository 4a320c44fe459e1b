"""Removing a person for good: from the tables, the journal, SQLite's free pages and its write-ahead log."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from server.gallery import journal
from server.gallery.edits import require
from server.gallery.events import Draft
from server.gallery.store import Store


@dataclass(frozen=True, slots=True)
class Found:
    """What there was of a person."""

    images: int
    templates: int
    crops: int
    journal: int
    sources: int


def erase(store: Store, draft: Draft, name: str) -> Found:
    """Delete a person with everything that was kept of them, in the caller's transaction. Raises UnknownPerson.

    The journal forgets what everybody's changes could be undone with, for a merge or a split may have left this
    person's templates anywhere in it.
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
    return Found(images, templates, crops, dropped, sources)


def wipe(store: Store, path: Path) -> str:
    """Write the database anew without what was deleted, and empty the write-ahead log; outside any transaction.

    SQLite overwrites what it deletes (secure_delete), but may leave older copies where it moved rows between pages.
    Empty when everything is gone; otherwise what is left, and what to do.
    """
    try:
        store.execute("VACUUM")
        (blocked, _, _) = store.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        return (
            f"old copies may lie in {path.name} a while longer ({error}): erasing again, or somebody else, removes them"
        )
    if blocked:
        return f"another process still reads {path.name}: old copies lie in its log until that has ended"
    return ""


def _row(store: Store, query: str, person_id: int) -> tuple[int, ...]:
    row: tuple[int, ...] = store.execute(query, (person_id,)).fetchone()
    return row
