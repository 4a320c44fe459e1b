"""Writing, reading and undoing the journal's events. SQL only, within the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from facewire.server.access.caller import current_caller
from facewire.server.errors import Conflict
from facewire.server.gallery.events import ERASED_NAME, Event, Op
from facewire.server.gallery.records import Person
from facewire.server.gallery.storage.connection import now
from facewire.server.gallery.storage.schema import OPEN_EVENT
from facewire.server.gallery.storage.store import Store

UNDO_DAYS = 30
"""How long the previous state of changed rows is kept for undoing. The event itself stays in the journal."""

_UNDOABLE: frozenset[Op] = frozenset(("enrol", "rename", "merge", "split", "remove", "build", "import"))

_EVENT = "SELECT id, at, op, detail, undone_by, undoable, token, address FROM events"


@dataclass(slots=True)
class Draft:
    """An event in progress: what its transaction records about it."""

    id: int
    subjects: list[Person] = field(default_factory=list)
    target: Person | None = None
    detail: dict[str, int] = field(default_factory=dict)
    keep_empty: bool = False
    """Keep the event even if no row changed."""


def begin(store: Store, op: Op) -> Draft:
    """Open an event, to which all changes belong until `finish`. Drops undo data that is too old."""
    _forget_old(store)
    caller = current_caller()
    cursor = store.execute(
        "INSERT INTO events (at, op, undoable, token, address) VALUES (?, ?, ?, ?, ?) RETURNING id",
        (now(), op, op in _UNDOABLE, caller.name, caller.address),
    )
    draft = Draft(int(cursor.fetchone()[0]))
    store.execute("INSERT INTO meta (key, value) VALUES (?, ?)", (OPEN_EVENT, draft.id))
    return draft


def opened(store: Store) -> Draft | None:
    """The event that an earlier process left open, in a database that nobody else uses."""
    row = store.execute("SELECT value FROM meta WHERE key = ?", (OPEN_EVENT,)).fetchone()
    return Draft(int(row[0])) if row else None


def reopen(store: Store, draft: Draft) -> None:
    """Attribute this transaction's changes to an earlier transaction's event, until `close`."""
    store.execute("INSERT INTO meta (key, value) VALUES (?, ?)", (OPEN_EVENT, draft.id))


def close(store: Store) -> None:
    """Undo `reopen`."""
    store.execute("DELETE FROM meta WHERE key = ?", (OPEN_EVENT,))


def drop_net_zero(store: Store, draft: Draft) -> None:
    """Drop net-zero changes: rows that the event both added and removed, which no reader ever saw."""
    store.execute(
        "DELETE FROM changes WHERE event_id = ? AND (tbl, row_id) IN"
        " (SELECT tbl, row_id FROM changes WHERE event_id = ? AND kind = 'delete')",
        (draft.id, draft.id),
    )


def finish(store: Store, draft: Draft) -> bool:
    """Close the event. Returns False and deletes the event if nothing changed; there is nothing to commit then."""
    store.execute("DELETE FROM meta WHERE key = ?", (OPEN_EVENT,))
    changed = store.execute("SELECT EXISTS (SELECT 1 FROM changes WHERE event_id = ?)", (draft.id,)).fetchone()[0]
    if not changed and not draft.keep_empty:
        store.execute("DELETE FROM events WHERE id = ?", (draft.id,))
        return False
    store.execute("UPDATE events SET detail = ? WHERE id = ?", (json.dumps(draft.detail), draft.id))
    people = [("subject", person) for person in draft.subjects]
    people += [("target", draft.target)] if draft.target else []
    for position, (role, person) in enumerate(people):
        store.execute(
            "INSERT INTO event_people (event_id, position, role, person_id, name) VALUES (?, ?, ?, ?, ?)",
            (draft.id, position, role, person.id, person.name),
        )
    return True


def newest(store: Store) -> int:
    """The newest event's id; 0 if there is none."""
    return int(store.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0])


def floor(store: Store) -> int:
    """Id of the newest event whose changes were dropped."""
    return int(store.execute("SELECT value FROM meta WHERE key = 'journal_floor'").fetchone()[0])


def event(store: Store, event_id: int) -> Event:
    """An existing event."""
    return _event(store, store.execute(f"{_EVENT} WHERE id = ?", (event_id,)).fetchone())


def history(store: Store, limit: int, before: int | None, name: str | None) -> tuple[tuple[Event, ...], int]:
    """The newest events before event `before`, and the total number; `name`: only those about whoever has or had it."""
    about, parameters = "", list[object]()
    if name is not None:
        about = (
            " AND id IN (SELECT event_id FROM event_people WHERE name = ?"
            " OR person_id = (SELECT id FROM people WHERE name = ?))"
        )
        parameters = [name, name]
    total = store.execute(f"SELECT count(*) FROM events WHERE true{about}", parameters).fetchone()[0]
    last = (1 << 62) if before is None else before
    query = f"{_EVENT} WHERE id < ?{about} ORDER BY id DESC LIMIT ?"
    rows = store.execute(query, [last, *parameters, limit]).fetchall()
    return tuple(_event(store, row) for row in rows), int(total)


def inserted(store: Store, draft: Draft, table: str) -> int:
    """The number of rows the event has inserted into a table."""
    query = "SELECT count(*) FROM changes WHERE event_id = ? AND tbl = ? AND kind = 'insert'"
    return int(store.execute(query, (draft.id, table)).fetchone()[0])


def undo(store: Store, draft: Draft, count: int, last: int | None) -> list[Event]:
    """Undo the newest `count` undoable changes as part of the event `draft`; returns their events, newest first.

    Raises Conflict if there are fewer, or if `last` is no longer the newest of them.
    """
    rows = store.execute(
        "SELECT id FROM events WHERE undoable AND undone_by IS NULL AND id < ? ORDER BY id DESC LIMIT ?",
        (draft.id, count),
    ).fetchall()
    numbers = [int(row[0]) for row in rows]
    if last is not None and numbers[:1] != [last]:
        newer = f"the last change is {numbers[0]}" if numbers else "there is nothing to undo"
        raise Conflict(f"{newer}, not {last}: look at the history again")
    if len(numbers) < count:
        only = "1 change" if len(numbers) == 1 else f"{len(numbers)} changes"
        raise Conflict(f"only {only} can be undone, not {count}" if numbers else "there is nothing to undo")
    store.execute("PRAGMA defer_foreign_keys = ON")
    for number in numbers:
        _take_back(store, number)
        store.execute("UPDATE events SET undone_by = ? WHERE id = ?", (draft.id, number))
        forget_content(store, number)
    forget_content(store, draft.id)
    draft.keep_empty = True
    draft.detail["changes"] = count
    draft.subjects += _people_of(store, numbers)
    return [event(store, number) for number in numbers]


def forget_content(store: Store, event_id: int) -> None:
    """Drop the old rows of an event that can't be undone (any more); the list of rows it changed stays."""
    for table in store.watched_tables():
        store.execute(
            f"DELETE FROM old_{table} WHERE change_id IN (SELECT id FROM changes WHERE event_id = ?)", (event_id,)
        )


def forget_before(store: Store, event_id: int) -> int:
    """Drop the undo data of all events before this one; returns the number of changes dropped."""
    store.execute("UPDATE events SET undoable = 0 WHERE undoable AND id < ?", (event_id,))
    dropped = store.execute("DELETE FROM changes WHERE event_id < ?", (event_id,)).rowcount
    store.execute("UPDATE meta SET value = ? WHERE key = 'journal_floor'", (event_id - 1,))
    return dropped


def forget_names(store: Store, person_id: int) -> None:
    """Overwrite a person's name, and the names of people merged into them, everywhere in the journal."""
    store.execute(
        "WITH RECURSIVE who (id) AS (SELECT ? UNION"
        " SELECT merged.person_id FROM who"
        " JOIN event_people kept ON kept.person_id = who.id AND kept.role = 'target'"
        " JOIN events e ON e.id = kept.event_id AND e.op = 'merge'"
        " JOIN event_people merged ON merged.event_id = e.id AND merged.role = 'subject')"
        " UPDATE event_people SET name = ? WHERE person_id IN who",
        (person_id, ERASED_NAME),
    )


def _take_back(store: Store, event_id: int) -> None:
    """Undo an event's changes, the last one first: each finds the rows in the state it left them in."""
    columns = store.watched_tables()
    query = "SELECT id, tbl, row_id, kind FROM changes WHERE event_id = ? ORDER BY id DESC"
    for change_id, table, row_id, kind in store.execute(query, (event_id,)).fetchall():
        names = ", ".join(columns[table])
        was = f"SELECT {names} FROM old_{table} WHERE change_id = ?"
        if kind == "insert":
            store.execute(f"DELETE FROM {table} WHERE id = ?", (row_id,))
        elif kind == "delete":
            store.execute(f"INSERT INTO {table} ({names}) {was}", (change_id,))
        else:
            store.execute(f"UPDATE {table} SET ({names}) = ({was}) WHERE id = ?", (change_id, row_id))


def _forget_old(store: Store) -> None:
    oldest = (datetime.now(UTC) - timedelta(days=UNDO_DAYS)).isoformat(timespec="seconds")
    row = store.execute("SELECT id, at FROM events WHERE id > ? ORDER BY id LIMIT 1", (floor(store),)).fetchone()
    if row is None or row[1] >= oldest:
        return
    (first_kept,) = store.execute(
        "SELECT coalesce((SELECT min(id) FROM events WHERE at >= ?), (SELECT max(id) + 1 FROM events))", (oldest,)
    ).fetchone()
    forget_before(store, first_kept)


def _people_of(store: Store, numbers: Sequence[int]) -> list[Person]:
    """Everybody these events concern, once per name they have there."""
    query = "SELECT person_id, name FROM event_people WHERE event_id = ? ORDER BY position"
    found = dict.fromkeys(row for number in numbers for row in store.execute(query, (number,)).fetchall())
    return [Person(person_id, name, "") for person_id, name in found]


def _event(store: Store, row: Sequence[object]) -> Event:
    event_id, at, op, detail, undone_by, undoable, token, address = row
    query = "SELECT role, name FROM event_people WHERE event_id = ? ORDER BY position"
    people = store.execute(query, (event_id,)).fetchall()
    return Event(
        id=int(str(event_id)),
        at=str(at),
        op=str(op),
        subjects=tuple(name for role, name in people if role == "subject"),
        target=next((name for role, name in people if role == "target"), None),
        detail=json.loads(str(detail)),
        undone_by=None if undone_by is None else int(str(undone_by)),
        undoable=bool(undoable) and undone_by is None,
        token=str(token),
        address=str(address),
    )
