"""What changed on disk since a snapshot was taken: read from the journal and applied to the snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from facewire.server.gallery.records import Person
from facewire.server.gallery.search.rows import Chunk
from facewire.server.gallery.snapshot import Snapshot
from facewire.server.gallery.storage import journal
from facewire.server.gallery.storage.store import Store

Value = TypeVar("Value")

_CHANGED = "SELECT row_id FROM changes WHERE event_id > ? AND tbl = ?"


@dataclass(frozen=True, slots=True, eq=False)
class Delta:
    """The current state of everything touched by events up to `event`; None marks deleted rows.

    `touched`: ids of templates, ascending; `templates`: those that still exist. `erased`: a person was erased, so no
    trace of deleted rows may be kept.
    """

    event: int
    people: Mapping[int, Person | None]
    paths: Mapping[int, str | None]
    touched: NDArray[np.int64]
    templates: Chunk
    erased: bool


def read_delta(store: Store, since: int) -> Delta | None:
    """What events after `since` touched, within the caller's transaction; None if the journal no longer goes back that
    far.

    Raises ValueError on templates of the wrong length.
    """
    if since < journal.floor(store):
        return None
    ids = [
        store.execute(f"SELECT DISTINCT row_id FROM ({_CHANGED}) ORDER BY row_id", (since, table)).fetchall()
        for table in ("people", "images", "templates")
    ]
    people: dict[int, Person | None] = {row_id: None for (row_id,) in ids[0]}
    query = f"SELECT id, name, created FROM people WHERE id IN ({_CHANGED})"
    people |= {row[0]: Person(*row) for row in store.execute(query, (since, "people")).fetchall()}
    paths: dict[int, str | None] = {row_id: None for (row_id,) in ids[1]}
    query = f"SELECT id, path FROM images WHERE id IN ({_CHANGED})"
    paths |= dict(store.execute(query, (since, "images")).fetchall())
    erased = store.execute("SELECT EXISTS (SELECT 1 FROM events WHERE id > ? AND op = 'erase')", (since,)).fetchone()
    return Delta(
        event=journal.newest(store),
        people=people,
        paths=paths,
        touched=np.array([row_id for (row_id,) in ids[2]], dtype=np.int64),
        templates=_joined(list(store.template_chunks(f"id IN ({_CHANGED})", (since, "templates"))), store),
        erased=bool(erased[0]),
    )


def applied(snapshot: Snapshot, delta: Delta) -> Snapshot:
    """The snapshot with the delta applied. Raises ModelMismatch or ValueError on templates that can't be compared."""
    return replace(
        snapshot,
        version=snapshot.version + 1,
        event=delta.event,
        rows=snapshot.rows.edited(delta.touched, delta.templates),
        people=_overlaid(snapshot.people, delta.people),
        paths=_overlaid(snapshot.paths, delta.paths),
    )


def _overlaid(old: Mapping[int, Value], new: Mapping[int, Value | None]) -> Mapping[int, Value]:
    if not new:
        return old
    merged = dict(old)
    for key, value in new.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    return merged


def _joined(chunks: list[Chunk], store: Store) -> Chunk:
    empty = Chunk(np.zeros((0, store.spec.dimension), np.float32), (), (), ())
    if len(chunks) == 1:
        return chunks[0]
    return Chunk(
        np.concatenate([chunk.embeddings for chunk in (empty, *chunks)]),
        *([number for chunk in chunks for number in chunk[field]] for field in (1, 2, 3)),
    )
